import numpy as np
from helpers import to_numpy

from keras_capi import ops


def test_nearest_colors():
    generator = np.random.default_rng(0)
    palette = generator.uniform(-1, 1, (20, 3)).astype("float32")
    pixels = generator.uniform(-1, 1, (2, 5, 7, 3)).astype("float32")
    distances = np.square(pixels[..., None, :] - palette).sum(-1)
    nearest = to_numpy(ops.nearest_colors(pixels, palette))
    np.testing.assert_array_equal(nearest, distances.argmin(-1))
    assert nearest.dtype == "int32"


def test_quick_gelu():
    x = np.linspace(-5.0, 5.0, 21, dtype="float32")
    np.testing.assert_allclose(
        to_numpy(ops.quick_gelu(x)), x / (1 + np.exp(-1.702 * x)), atol=1e-6
    )
