import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import soft_cross_entropy
from keras_capi.ops import weighted_cross_entropy

GENERATOR = np.random.default_rng(0)
TARGETS = GENERATOR.dirichlet(np.ones(4), size=6).astype("float32")
LOGITS = GENERATOR.normal(size=(6, 4)).astype("float32")


def test_equal_weights_give_the_mean():
    weights = np.full((6,), 1 / 6, "float32")
    loss = to_numpy(weighted_cross_entropy(TARGETS, LOGITS, weights, 0.1))
    assert loss.dtype == "float32"
    mean = to_numpy(soft_cross_entropy(TARGETS, LOGITS, 0.1))
    assert loss == pytest.approx(mean, rel=1e-5)


def test_a_weight_of_zero_leaves_out():
    weights = np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0], "float32")
    loss = to_numpy(weighted_cross_entropy(TARGETS, LOGITS, weights, 0.1))
    first = to_numpy(soft_cross_entropy(TARGETS[:1], LOGITS[:1], 0.1))
    assert loss == pytest.approx(2 * first, rel=1e-5)


def test_the_temperature_must_be_positive():
    with pytest.raises(ValueError, match="`temperature` must be a positive"):
        weighted_cross_entropy(TARGETS, LOGITS, np.ones(6), 0.0)
