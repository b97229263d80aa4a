import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import annealed_mean
from keras_capi.ops import color_bins
from keras_capi.ops import encode_colors
from keras_capi.ops import rebalancing_weights

BINS = color_bins()
GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("num_neighbors", [1, 5])
def test_shares_by_distance(num_neighbors):
    colors = GENERATOR.uniform(-80, 80, (2, 3, 4, 2)).astype("float32")
    indices, shares = encode_colors(colors, BINS, num_neighbors, 4.0)
    distances = np.linalg.norm(colors[..., None, :] - BINS, axis=-1)
    expected = np.argsort(distances, axis=-1)[..., :num_neighbors]
    np.testing.assert_array_equal(to_numpy(indices), expected)
    nearest = np.take_along_axis(distances, expected, axis=-1).astype("float64")
    # Far outside of all bins, none of them is near.
    densities = np.exp(-(nearest**2 - nearest[..., :1] ** 2) / 32)
    densities /= densities.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(to_numpy(shares), densities, rtol=1e-4)


def test_more_neighbors_than_bins():
    with pytest.raises(ValueError, match="num_neighbors=4, 3 bins"):
        encode_colors(np.zeros((2, 2)), BINS[:3], 4)


def test_annealed_mean_is_between_mean_and_mode():
    logits = GENERATOR.normal(size=(5, len(BINS))).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        to_numpy(annealed_mean(logits, BINS, 1.0)),
        probabilities @ BINS,
        atol=1e-3,
    )
    np.testing.assert_allclose(
        to_numpy(annealed_mean(logits, BINS, 1e-3)),
        BINS[logits.argmax(axis=-1)],
        atol=1e-3,
    )


def test_rare_colors_count_more():
    prior = np.array([0.7, 0.2, 0.1], "float32")
    weights = to_numpy(rebalancing_weights(prior))
    expected = 1 / (0.5 * prior + 0.5 / 3)
    expected /= (prior * expected).sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    for options in ({"mixing": 1.0}, {"power": 0.0}):
        np.testing.assert_allclose(
            to_numpy(rebalancing_weights(prior, **options)), 1.0, rtol=1e-5
        )


@pytest.mark.parametrize(
    "power, expected", [(1.0, [0.625, 2.5, 2.5]), (40.0, [0.0, 5.0, 5.0])]
)
def test_colors_that_never_occur_count_as_the_rarest(power, expected):
    prior = np.array([0.8, 0.2, 0.0], "float32")
    weights = to_numpy(rebalancing_weights(prior, 0.0, power))
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
