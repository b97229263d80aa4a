"""Labels of a single class, for which any features would score 1."""

import numpy as np
import pytest
from helpers import make_images

from keras_capi.callbacks import KNNEvaluation
from keras_capi.evaluation import knn_classification
from keras_capi.evaluation import probe_classification

FEATURES = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
IMAGES = make_images(40)


def by_neighbors(labels):
    knn_classification(FEATURES, labels, FEATURES, labels)


def by_probes(labels):
    features = {"global": FEATURES}
    probe_classification(
        features, labels, features, labels, num_steps=1, batch_size=4
    )


def in_training(labels):
    KNNEvaluation(IMAGES, labels, IMAGES, labels)


@pytest.mark.parametrize("score", [by_neighbors, by_probes, in_training])
@pytest.mark.parametrize("label", [0, 3])
def test_is_refused(score, label):
    with pytest.raises(
        ValueError,
        match=f"`train_labels` must have .* 2 classes.* only class {label}, 40",
    ):
        score(np.full(40, label))


@pytest.mark.parametrize("score", [by_neighbors, by_probes, in_training])
def test_two_classes_pass(score):
    score(np.arange(40) % 2)
