"""What changes between two steps is seen by the next."""

import threading

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_mae
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi import backend

on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="steps of the other backends are compiled",
)


def moved_by_a_step(model, *batch):
    """The paths of the weights that a step moves."""
    before = weights_of(model)
    model.train_on_batch(*batch)
    pairs = zip(model.weights, before, strict=True)
    return {x.path for x, value in pairs if (to_numpy(x) != value).any()}


def paths(weights):
    return {weight.path for weight in weights}


def make_trained():
    model = make_mae()
    model.train_on_batch(make_images())
    return model


@on_torch
def test_a_step_lists_them_once(monkeypatch):
    model, count = make_trained(), 0
    weights = keras.Layer.weights

    def count_and_list(layer):
        nonlocal count
        count += layer is model
        return weights.fget(layer)

    monkeypatch.setattr(keras.Layer, "weights", property(count_and_list))
    model.train_on_batch(make_images())
    assert count == 1


@on_torch
def test_freezing_is_seen_at_once():
    """Without `compile`, as Keras on torch."""
    model = make_trained()
    expected = paths(model.decoder.trainable_weights)
    model.encoder.trainable = False
    assert paths(model.trainable_weights) == expected
    # The key has a gradient of rounding errors, which are at times zero.
    moved = moved_by_a_step(model, make_images())
    assert moved and moved <= expected
    model.encoder.trainable = True
    moved = moved_by_a_step(model, make_images())
    assert moved & paths(model.encoder.trainable_weights)


@on_torch
def test_freezing_in_a_callback_is_seen():
    class Freezes(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.model.encoder.trainable = False
                self.values = weights_of(self.model.encoder)

    model, callback = make_trained(), Freezes()
    model.fit(make_images(), batch_size=2, verbose=0, callbacks=[callback])
    for value, other in zip(
        weights_of(model.encoder), callback.values, strict=True
    ):
        np.testing.assert_array_equal(value, other)


@on_torch
def test_freezing_is_seen_after_a_step_that_failed():
    model = make_trained()
    with pytest.raises(ValueError, match="floating point"):
        model.train_on_batch(np.zeros((4, 16, 16, 3), "uint8"))
    model.encoder.trainable = False
    assert paths(model.trainable_weights) == paths(
        model.decoder.trainable_weights
    )


def test_low_rank_kernels_are_seen():
    backbone = make_backbone()
    model = keras_capi.models.ImageClassifier(backbone, 2)
    batch = make_images(), np.array([0, 1, 0, 1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for enable in (lambda: None, lambda: backbone.enable_lora(2)):
        enable()
        model.compile(keras.optimizers.Adam(1e-2), loss)
        moved = moved_by_a_step(model, *batch)
    assert any("lora_kernel" in path for path in moved)
    assert moved <= paths(model.trainable_weights)


def test_loaded_weights_are_trained_on(tmp_path):
    images, file = make_images(), tmp_path / "model.weights.h5"
    model = make_trained()
    model.save_weights(file)
    model.train_on_batch(images)
    model.load_weights(file)
    loaded = weights_of(model)
    assert moved_by_a_step(model, images) & paths(model.trainable_weights)
    model.load_weights(file)
    for value, other in zip(weights_of(model), loaded, strict=True):
        np.testing.assert_array_equal(value, other)


@on_torch
def test_lists_are_the_callers_own():
    model = make_mae()
    count = len(model.trainable_weights)
    with backend.weights_listed_once(model):
        model.trainable_weights.clear()
        assert len(model.trainable_weights) == count
        # Only those of this model, in this thread.
        model.encoder.trainable = False
        assert not model.encoder.trainable_weights
        counts = []
        thread = threading.Thread(
            target=lambda: counts.append(len(model.trainable_weights))
        )
        thread.start()
        thread.join()
        with backend.weights_listed_once(model.encoder):
            assert len(model.trainable_weights) == count
    assert counts == [len(model.trainable_weights)] != [count]
