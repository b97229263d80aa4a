import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.ops import apply_rotary
from keras_capi.ops import rotary_angles
from keras_capi.ops import rotary_frequencies

GENERATOR = np.random.default_rng(0)
COORDINATES = GENERATOR.uniform(size=(2, 5, 2)).astype("float32")
X = GENERATOR.normal(size=(2, 5, 3, 8)).astype("float32")


def test_frequencies_are_the_published_ones(reference):
    name = "weights/backbone.encoder.blocks.0.residual1.fn.rope.freqs"
    frequencies = rotary_frequencies(16)
    np.testing.assert_allclose(frequencies, reference[name], rtol=1e-6)
    assert frequencies.dtype == np.float32


@pytest.mark.parametrize("head_dim", [4, 8, 64])
def test_frequencies_follow_the_formula(head_dim):
    quarter = head_dim // 4
    frequencies = rotary_frequencies(head_dim)
    assert frequencies.shape == (2, head_dim)
    for index in range(quarter):
        exponent = -index / (quarter - 1) if quarter > 1 else 0.0
        expected = 2 * np.pi * 7 * (7 / 7e-4) ** exponent
        for row, offset in ((0, 0), (0, quarter), (1, 0), (1, quarter)):
            column = row * head_dim // 2 + offset + index
            np.testing.assert_allclose(
                frequencies[row, column], expected, rtol=1e-6
            )
            assert frequencies[1 - row, column] == 0


def test_bounds_of_the_frequencies():
    frequencies = rotary_frequencies(12, max_frequency=3.0, min_frequency=0.75)
    # Each from the highest to the lowest, over the ratio of both.
    np.testing.assert_allclose(
        frequencies[0, :3] / (2 * np.pi), [3.0, 1.5, 0.75], rtol=1e-6
    )


@pytest.mark.parametrize("head_dim", [2, 6, 7])
def test_bad_head_size(head_dim):
    message = f"head size must be divisible by 4.*head_dim={head_dim}"
    with pytest.raises(ValueError, match=message):
        rotary_frequencies(head_dim)


def test_angles():
    frequencies = rotary_frequencies(8)
    cosine, sine = rotary_angles(COORDINATES, frequencies)
    assert tuple(cosine.shape) == tuple(sine.shape) == (2, 5, 1, 8)
    angles = COORDINATES.astype("float64") @ frequencies
    np.testing.assert_allclose(
        to_numpy(cosine)[:, :, 0], np.cos(angles), atol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(sine)[:, :, 0], np.sin(angles), atol=1e-5
    )


def test_angles_are_float32_whatever_the_coordinates():
    half = ops.cast(COORDINATES, "bfloat16")
    cosine, _ = rotary_angles(half, rotary_frequencies(8))
    expected, _ = rotary_angles(
        ops.cast(half, "float32"), rotary_frequencies(8)
    )
    np.testing.assert_array_equal(to_numpy(cosine), to_numpy(expected))
    assert to_numpy(cosine).dtype == np.float32


def test_applies_to_pairs_of_channels():
    frequencies = rotary_frequencies(8).astype("float64")
    outputs = apply_rotary(
        ops.convert_to_tensor(X), *rotary_angles(COORDINATES, frequencies)
    )
    expected = np.zeros(X.shape)
    for image, token in np.ndindex(2, 5):
        angles = COORDINATES[image, token] @ frequencies
        for channel in range(4):
            # A channel of the rows is paired with one of the columns, and each
            # of the two turns by its own angle.
            other = channel + 4
            first = X[image, token, :, channel]
            second = X[image, token, :, other]
            expected[image, token, :, channel] = first * np.cos(
                angles[channel]
            ) - second * np.sin(angles[channel])
            expected[image, token, :, other] = second * np.cos(
                angles[other]
            ) + first * np.sin(angles[other])
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-4)
    # Not a rotation, as published.
    norms = np.linalg.norm(to_numpy(outputs), axis=-1)
    assert np.abs(norms / np.linalg.norm(X, axis=-1) - 1).max() > 0.05


def test_origin_changes_nothing():
    angles = rotary_angles(0.0 * COORDINATES, rotary_frequencies(8))
    outputs = apply_rotary(ops.convert_to_tensor(X), *angles)
    np.testing.assert_array_equal(to_numpy(outputs), X)


def test_keeps_the_dtype():
    angles = rotary_angles(COORDINATES[:1], rotary_frequencies(8))
    half = ops.cast(X, "bfloat16")
    outputs = apply_rotary(half, *angles)
    assert outputs.dtype == half.dtype
    exact = apply_rotary(ops.cast(half, "float32"), *angles)
    np.testing.assert_allclose(
        to_numpy(ops.cast(outputs, "float32")), to_numpy(exact), atol=0.05
    )


def test_odd_head_size_to_apply():
    x = ops.ones((1, 2, 1, 3))
    with pytest.raises(ValueError, match="head size must be even.*1, 2, 1, 3"):
        apply_rotary(x, x, x)
