import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import ColorTargets

BINS = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
COLORS = np.random.default_rng(0).uniform(-2, 12, (2, 3, 4, 2))
COLORS = COLORS.astype("float32")

CASE = battery.Case(
    ColorTargets,
    {
        "bins": BINS,
        "num_neighbors": 3,
        "deviation": 4.0,
        "prior": [0.4, 0.3, 0.2, 0.1],
        "mixing": 0.25,
        "power": 0.5,
        "gray_threshold": 1.0,
    },
    (COLORS,),
    (
        battery.Output((2, 3, 4, 3), "int32"),
        battery.Output((2, 3, 4, 3), "float32"),
        battery.Output((2, 3, 4), "float32"),
    ),
    non_trainable={"shares": (4,), "num_batches": ()},
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_counts_how_often_colors_occur():
    targets = ColorTargets(BINS, 1)
    # Three places near the first, one near the last; and one without colours.
    batch = np.zeros((2, 2, 2, 2), "float32")
    batch[0, 1, 1] = 10.0
    targets(batch, training=False)
    np.testing.assert_allclose(to_numpy(targets.shares), 0.25)
    _, _, weights = targets(batch, training=True)
    expected = np.array([0.5, 0.125, 0.125, 0.25])
    np.testing.assert_allclose(to_numpy(targets.shares), expected, rtol=1e-6)
    factors = 1 / (expected + 0.25)
    factors /= (expected * factors).sum() / 0.5 * 0.5
    weights = to_numpy(weights)
    np.testing.assert_allclose(weights[0, 1, 1], factors[3], rtol=1e-5)
    np.testing.assert_allclose(weights[0, 0, 0], factors[0], rtol=1e-5)
    # The mean of all batches.
    targets(batch, training=True)
    np.testing.assert_allclose(
        to_numpy(targets.shares),
        np.array([0.25 + 1.5, 0.25, 0.25, 0.25 + 0.5]) / 3,
        rtol=1e-6,
    )


def test_images_without_colors_do_not_count():
    targets = ColorTargets(BINS, 1)
    batch = COLORS.copy()
    batch[1] = 4.9
    _, _, weights = targets(batch, training=True)
    weights = to_numpy(weights)
    assert weights[0].all() and not weights[1].any()
    before = to_numpy(targets.shares)
    targets(0.0 * batch, training=True)
    np.testing.assert_array_equal(to_numpy(targets.shares), before)


def test_a_given_prior_stays():
    targets = ColorTargets(BINS, 1, prior=[4.0, 3.0, 2.0, 1.0])
    targets(COLORS, training=True)
    np.testing.assert_allclose(
        to_numpy(targets.shares), [0.4, 0.3, 0.2, 0.1], rtol=1e-6
    )


def test_published_start():
    targets = ColorTargets()
    assert (targets.num_bins, targets.num_neighbors) == (313, 10)
    assert (targets.mixing, targets.power, targets.deviation) == (0.5, 1.0, 5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": [1.0, 2.0]}, "`bins` must be finite"),
        ({"bins": BINS}, "must not be above the number of bins"),
        ({"prior": [0.5, 0.5]}, "`prior` must have a value above 0"),
        (
            {"bins": BINS, "num_neighbors": 1, "prior": [0.5, 0.5, 1, np.inf]},
            "`prior` must have a value above 0, and finite",
        ),
        (
            {"bins": BINS, "num_neighbors": 1, "prior": [0.5, 0.5, 0.0, 0.0]},
            "`prior` must have a value above 0",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ColorTargets(**arguments)


def test_counts_in_float32_where_floats_are_half_precision():
    former, shares = keras.config.floatx(), []
    try:
        for dtype in ("float32", "float16"):
            keras.config.set_floatx(dtype)
            targets = ColorTargets(BINS, 3)
            targets(COLORS, training=True)
            shares.append(to_numpy(targets.shares))
    finally:
        keras.config.set_floatx(former)
    np.testing.assert_allclose(*shares, rtol=1e-6)
