import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import PatchGrid
from keras_capi.ops.colors.aberration import drop_colors
from keras_capi.ops.colors.aberration import project_colors

IMAGES = make_images(2, 32, 48)


def windows(layer, numbers, image_size):
    """Tops, lefts and sides in pixels of the images, `(batch, 9)` each."""
    numbers = keras.ops.convert_to_tensor(numbers[:, :21])
    found = layer.windows(numbers, image_size)
    return [to_numpy(x).reshape(-1, 9) for x in found[:3]]


def test_shape_and_scale():
    layer = PatchGrid(8, seed=0)
    patches = to_numpy(layer(IMAGES)["patches"])
    assert patches.shape == (2, 9, 8, 8, 3)
    np.testing.assert_allclose((patches**2).mean((2, 3, 4)), 1.0, rtol=1e-4)
    # Of each patch another channel, or the same, is kept.
    kept = patches.std((2, 3)).argmax(-1)
    assert len(np.unique(kept)) == 3
    assert (to_numpy(layer(IMAGES)["patches"]) != patches).any()


def test_patches_have_gaps_and_jitter():
    layer = PatchGrid(8, gap=4, jitter=1)
    numbers = np.random.default_rng(0).random((400, 21), "float32")
    tops, lefts, sides = windows(layer, numbers, (64, 80))
    assert np.allclose(sides, sides[:, :1])
    zoom = 8 / sides[:, :1]
    area = zoom[:, 0] ** 2 * 64 * 80 / 8**2
    # Uniform within the published bounds, but for images too narrow.
    assert area.min() >= 16.2 and area.max() <= 48.9
    assert abs(np.mean(area > 32.5) - 0.5) < 0.1
    for corners, end, axis in ((tops, 64, 1), (lefts, 80, 0)):
        pixels = (corners * zoom).reshape(-1, 3, 3)
        np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-2)
        steps = np.round(np.diff(pixels, axis=2 - axis)).ravel()
        assert set(steps) == {10, 11, 12, 13, 14}
        assert corners.min() >= 0
        assert (corners + sides).max() <= end + 1e-3
        # Anywhere in the image.
        middle = (corners + sides / 2).mean(1) / end
        assert middle.min() < 0.4 and middle.max() > 0.6


def test_cuts_pixels_where_nothing_is_resized():
    layer = PatchGrid(8, gap=2, jitter=0, area=(24.0, 24.0), shrink_rate=0.0)
    # 48 * 32 pixels are 24 patches: no zoom.
    images = IMAGES
    numbers = np.random.default_rng(1).random(
        (2, layer.numbers_per_image), "float32"
    )
    tops, lefts, _ = (
        np.round(x[0]).astype(int) for x in windows(layer, numbers, (32, 48))
    )
    assert tops.max() <= 24 and lefts.max() <= 40
    pixels = np.stack(
        [
            images[0, y : y + 8, x : x + 8]
            for y, x in zip(tops, lefts, strict=True)
        ]
    )
    patches = to_numpy(layer(images, numbers=numbers)["patches"])[0]
    kept = patches.std((1, 2)).argmax(-1)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = (255 * (pixels * std + mean)).astype("float32")
    expected = to_numpy(drop_colors(pixels, kept, np.full_like(pixels, 0.5)))
    for patch, other, channel in zip(patches, expected, kept, strict=True):
        np.testing.assert_allclose(
            patch[..., channel], other[..., channel], atol=1e-3
        )
    layer = PatchGrid(
        8, 2, 0, (24.0, 24.0), shrink_rate=0.0, colors="projection", seed=0
    )
    patches = to_numpy(layer(images, numbers=numbers[:, :48])["patches"])[0]
    np.testing.assert_allclose(
        patches, to_numpy(project_colors(pixels)), atol=1e-3
    )


def test_shrunk_patches_lose_details():
    def roughness(rate):
        layer = PatchGrid(8, shrink_rate=rate, colors="projection", seed=0)
        patches = to_numpy(layer(IMAGES)["patches"])
        return np.square(np.diff(patches, axis=3)).mean()

    assert roughness(1.0) < 0.9 * roughness(0.0)


def test_noise_of_dropped_channels_is_small_and_differs():
    images = np.zeros((2, 32, 48, 3), "float32")
    images[:, ::2] = 2.0
    patches = to_numpy(PatchGrid(8, shrink_rate=0.0, seed=0)(images)["patches"])
    for patch in patches.reshape(-1, 8, 8, 3)[:4]:
        order = patch.std((0, 1)).argsort()
        first, second = (patch[..., i].ravel() for i in order[:2])
        assert 0 < second.std() < 0.05
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.6


def test_noise_of_many_channels_differs():
    images = np.zeros((2, 32, 48, 8), "float32")
    images[:, ::2] = 2.0
    patches = to_numpy(
        PatchGrid(24, shrink_rate=0.0, seed=0)(images)["patches"]
    )
    for patch in patches.reshape(-1, 24 * 24, 8):
        # Without the one that is kept.
        noise = patch[:, patch.std(axis=0).argsort()[:-1]]
        correlation = np.corrcoef(noise.T) - np.eye(7)
        assert np.abs(correlation).max() < 0.25


def test_channels():
    assert PatchGrid(8)(make_images(1, 16, 16, 1))["patches"].shape[-1] == 1
    with pytest.raises(ValueError, match="3 channels"):
        PatchGrid(8, colors="projection")(make_images(1, 16, 16, 1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"crop_size": 1}, "`crop_size` must be 2 or more"),
        (
            {"colors": "none"},
            "`colors` must be one of 'dropping', 'projection'",
        ),
        ({"area": (3.0, 2.0)}, "`area` must be two numbers"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchGrid(**arguments)


def test_bad_images():
    with pytest.raises(ValueError, match="8 pixels or more.*4 x 8"):
        PatchGrid(4)(make_images(1, 4, 8))
    with pytest.raises(ValueError, match="must be floating point"):
        PatchGrid(4)(np.zeros((1, 16, 16, 3), "uint8"))
