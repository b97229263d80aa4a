import numpy as np
import pytest
from helpers import to_numpy
from layers import battery
from ops.numpy_sinkhorn import sinkhorn

from keras_capi.layers import SinkhornCentering

SCORES = np.random.default_rng(0).normal(size=(4, 2, 5)).astype("float32")

CASE = battery.Case(
    SinkhornCentering,
    {"temperature": 0.5, "num_iterations": 2},
    (SCORES,),
    battery.Output((4, 2, 5), "float32"),
    non_trainable={"current_temperature": ()},
    symbolic_shapes=((2, 5),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_all_rows_are_balanced_together():
    targets = to_numpy(SinkhornCentering(0.5)(SCORES))
    expected = sinkhorn(SCORES.reshape(8, 5) / 0.5).reshape(4, 2, 5)
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=(0, 1)), 8 / 5, rtol=0.1)


@pytest.mark.parametrize("num_iterations", [1, 3])
def test_nothing_is_added_to_sums(num_iterations):
    """Unlike in CAPI, whose authors add 1e-8: some sums are smaller."""
    scores = np.random.default_rng(1).normal(size=(64, 16), scale=16)
    layer = SinkhornCentering(1.0, num_iterations)
    expected = sinkhorn(scores, num_iterations, epsilon=0.0)
    added = sinkhorn(scores, num_iterations)
    assert abs(added - expected).max() > 1e-4
    targets = to_numpy(layer(scores.astype("float32")))
    np.testing.assert_allclose(targets, expected, atol=2e-5)


def test_what_is_padded_has_no_share():
    layer = SinkhornCentering(0.5)
    valid = np.array([[True, False]] * 4)
    targets = to_numpy(layer(SCORES, valid=valid))
    alone = to_numpy(layer(SCORES[:, 0]))
    np.testing.assert_allclose(targets[:, 0], alone, atol=1e-6)
    # Of nothing at all, there still are numbers.
    nothing = layer(SCORES, valid=np.zeros((4, 2), bool))
    assert np.isfinite(to_numpy(nothing)).all()


def test_the_temperature_can_be_set():
    layer = SinkhornCentering(0.5)
    layer(SCORES)
    layer.assign_temperature(0.25)
    expected = to_numpy(SinkhornCentering(0.25)(SCORES))
    np.testing.assert_allclose(to_numpy(layer(SCORES)), expected, atol=1e-6)
