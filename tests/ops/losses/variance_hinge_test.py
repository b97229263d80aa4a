import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import variance_hinge

RNG = np.random.default_rng(0)
VALUES = RNG.normal(5.0, 1.0, (3, 6, 4)).astype("float32")
MASK = RNG.random((3, 6)) < 0.5


def loss(values, mask, margin=0.5):
    return float(to_numpy(variance_hinge(values, mask, margin)))


def test_deviation_over_masked_places():
    values = VALUES * np.array([0.1, 0.3, 1.0, 2.0], "float32")
    deviation = np.sqrt(values[MASK].var(axis=0, ddof=1) + 1e-6)
    expected = np.maximum(0.8 - deviation, 0.0).mean()
    assert expected > 0.1
    assert loss(values, MASK, 0.8) == pytest.approx(expected, rel=1e-4)
    other = np.where(MASK[..., None], values, 100.0)
    assert loss(other, MASK, 0.8) == pytest.approx(expected, rel=1e-4)


def test_equal_predictions_cost_the_margin():
    equal = np.ones_like(VALUES)
    assert loss(equal, MASK) == pytest.approx(0.5 - 1e-3, rel=1e-4)
    assert np.isfinite(loss(equal, np.zeros_like(MASK)))


def test_margin_must_not_be_negative():
    with pytest.raises(ValueError, match="`margin` must be"):
        variance_hinge(VALUES, MASK, -1.0)
