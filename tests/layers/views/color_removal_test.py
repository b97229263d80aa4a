import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from layers import battery

from keras_capi.layers import ColorRemoval
from keras_capi.ops import rgb_to_lab

IMAGES = make_images(2, 8, 12)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

CASE = battery.Case(
    ColorRemoval,
    {
        "num_channels": 1,
        "stride": 2,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
    },
    (IMAGES,),
    {
        "corrupted_images": battery.Output((2, 8, 12, 1)),
        "colors": battery.Output((2, 4, 6, 2), "float32"),
    },
    symbolic_shapes=((None, None, 3),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def unit_images():
    return np.random.default_rng(0).random((2, 8, 12, 3)).astype("float32")


def test_lightness_and_every_fourth_color():
    images = unit_images()
    lab = to_numpy(rgb_to_lab(images))
    parts = ColorRemoval(1, **PLAIN)(images)
    np.testing.assert_allclose(
        to_numpy(parts["corrupted_images"]),
        (lab[..., :1] - 50) / 100,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        to_numpy(parts["colors"]), lab[:, ::4, ::4, 1:], atol=1e-4
    )


def test_grey_images_are_as_light_and_normalised_likewise():
    images = unit_images()
    gray = to_numpy(ColorRemoval(**PLAIN)(images)["corrupted_images"])
    lab = to_numpy(rgb_to_lab(gray))
    np.testing.assert_allclose(
        lab[..., 0], to_numpy(rgb_to_lab(images))[..., 0], atol=2e-2
    )
    np.testing.assert_allclose(lab[..., 1:], 0.0, atol=2e-2)
    # Of an image without colours nothing is taken.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalized = ((gray - mean) / std).astype("float32")
    again = to_numpy(ColorRemoval()(normalized)["corrupted_images"])
    np.testing.assert_allclose(again, normalized, atol=1e-3)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_restores_colors(num_channels):
    images = np.repeat(unit_images()[:, :1, :1], 8, axis=1).repeat(12, axis=2)
    removal = ColorRemoval(num_channels, **PLAIN)
    parts = removal(images)
    restored = removal.restore(parts["corrupted_images"], parts["colors"])
    np.testing.assert_allclose(to_numpy(restored), images, atol=1e-3)


def test_other_channels_have_no_colors():
    with pytest.raises(ValueError, match="must have 3 channels"):
        ColorRemoval()(IMAGES[..., :1])
    with pytest.raises(ValueError, match="`num_channels` must be 1 or 3"):
        ColorRemoval(2)
