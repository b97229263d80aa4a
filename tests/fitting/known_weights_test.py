"""Weights that begin to train after `compile` are told of."""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit

import keras_capi


def test_a_backbone_that_thaws_after_compile():
    """On TensorFlow it would not train, without a word."""
    head = keras_capi.tasks.ImageClassifier(make_vit(), 2, freeze_backbone=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile("sgd", loss)
    images, labels = make_images(4), np.array([0, 1, 0, 1])
    head.fit(images, labels, verbose=0)
    head.freeze_backbone = False
    for train in (
        lambda: head.fit(images, labels, verbose=0),
        lambda: head.train_on_batch(images, labels),
    ):
        with pytest.raises(
            ValueError, match=r"compiled again.*: \d+ weights.*class_token"
        ):
            train()
    head.compile("sgd", loss)
    head.fit(images, labels, verbose=0)


def test_a_backbone_that_freezes_after_compile():
    """As of all models of Keras, this is no error."""
    model = keras_capi.tasks.ImageClassifier(make_vit(), 2)
    model.compile("sgd", "mse")
    model.backbone.trainable = False
    model.train_on_batch(make_images(4), np.ones((4, 2), "float32"))
