import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import CenterRegion
from keras_capi.layers.norms.imagenet_normalization import MEAN
from keras_capi.layers.norms.imagenet_normalization import STANDARD_DEVIATION
from tests.layers import battery

IMAGES = make_images(3, 16, 24)

CASE = battery.Case(
    layer_class=CenterRegion,
    arguments={"overlap": 1, "mean": (0.4,) * 3, "std": (0.2,) * 3},
    inputs=(IMAGES,),
    outputs={
        "corrupted_images": battery.Output(IMAGES.shape),
        "mask": battery.Output(IMAGES.shape, "bool"),
    },
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_fills_less_than_is_judged():
    layer = CenterRegion(overlap=2)
    outputs = layer(IMAGES)
    expected = np.zeros((16, 24), bool)
    expected[6:10, 8:16] = True
    mask = to_numpy(outputs["mask"])
    np.testing.assert_array_equal(
        mask, np.broadcast_to(expected[None, ..., None], IMAGES.shape)
    )
    assert layer.judged_window((16, 24)) == (4, 6, 8, 12)
    corrupted = to_numpy(outputs["corrupted_images"])
    np.testing.assert_array_equal(corrupted[~mask], IMAGES[~mask])
    # Red, green and blue in the authors' order.
    fill = (np.array([117, 104, 123]) / 255 - MEAN) / STANDARD_DEVIATION
    np.testing.assert_allclose(
        corrupted[:, 8, 12], np.tile(fill, (3, 1)), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("size", "overlap"), [((128, 128), 4), ((32, 64), 2), ((16, 16), 1)]
)
def test_default_overlap(size, overlap):
    rows = CenterRegion().draw_mask(size).any(axis=1)
    assert rows.sum() == size[0] // 2 - 2 * overlap


def test_own_mask():
    mask = np.random.default_rng(0).random((3, 16, 24)) < 0.3
    outputs = CenterRegion()(IMAGES, region=mask)
    expected = np.broadcast_to(mask[..., None], IMAGES.shape)
    np.testing.assert_array_equal(to_numpy(outputs["mask"]), expected)


def test_colors_and_back():
    for layer in (CenterRegion(), CenterRegion(None, (0.4,), (0.2,))):
        images = IMAGES if layer.mean is None else IMAGES[..., :1]
        colors = layer.to_colors(images)
        np.testing.assert_allclose(
            to_numpy(layer.from_colors(colors)), images, atol=1e-5
        )
    np.testing.assert_allclose(
        to_numpy(colors), 2 * (images * 0.2 + 0.4) - 1, atol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": -1}, "`overlap` must be"),
        ({"mean": (0.5,) * 3}, "must be given together"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CenterRegion(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="overlap=4, images of 16 x 24"):
        CenterRegion(4)(IMAGES)
    with pytest.raises(ValueError, match="must be floating point"):
        CenterRegion()(np.zeros((2, 8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match="one value for each channel"):
        CenterRegion(mean=(0.5,), std=(0.5,))(IMAGES)
