import numpy as np
from helpers import to_numpy

from keras_capi.ops.colors.aberration import drop_colors
from keras_capi.ops.colors.aberration import project_colors

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.uniform(0, 255, (4, 6, 6, 3)).astype("float32")
NOISE = GENERATOR.random((4, 6, 6, 3)).astype("float32")


def test_keeps_one_channel():
    kept = np.array([0, 2, 1, 0])
    patches = to_numpy(drop_colors(PIXELS, kept, NOISE))
    np.testing.assert_allclose((patches**2).mean((1, 2, 3)), 1.0, rtol=1e-5)
    for patch, pixels, noise, channel in zip(
        patches, PIXELS, NOISE, kept, strict=True
    ):
        channels = np.arange(3) == channel
        expected = np.where(channels, pixels - pixels.mean((0, 1)), noise - 0.5)
        ratio = expected / patch
        np.testing.assert_allclose(ratio, ratio[0, 0, channel], rtol=1e-3)


def test_flat_patches_have_no_features():
    flat = np.full((1, 6, 6, 1), 100.3, "float32")
    noise = np.zeros((1, 6, 6, 1), "float32")
    patches = to_numpy(drop_colors(flat, np.array([0]), noise))
    assert np.abs(patches).max() < 1e-3


def test_projection_takes_out_what_is_between_green_and_magenta():
    other = PIXELS + 20 * NOISE[..., :1] * np.array([-1, 2, -1], "float32")
    np.testing.assert_allclose(
        to_numpy(project_colors(other)),
        to_numpy(project_colors(PIXELS)),
        atol=1e-4,
    )
    patches = to_numpy(project_colors(PIXELS))
    np.testing.assert_allclose(patches.mean((1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose((patches**2).mean((1, 2, 3)), 1.0, rtol=1e-5)
