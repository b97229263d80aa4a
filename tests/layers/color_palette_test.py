import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.layers import ColorPalette
from keras_capi.layers import ImageNetNormalization
from keras_capi.layers.color_palette import even_colors


def test_names_what_was_normalised():
    layer = ColorPalette(num_colors=3)
    palette = np.array([[0, 0, 0], [255, 0, 128], [255, 255, 255]])
    layer.assign_colors(palette / 127.5 - 1.0)
    pixels = np.array([[[250, 10, 120], [3, 9, 30], [200, 180, 220]]])
    names = layer(ImageNetNormalization()(pixels))
    np.testing.assert_array_equal(to_numpy(names), [[1, 0, 2]])
    expected = to_numpy(ImageNetNormalization()(palette[[1, 0, 2]]))
    restored = to_numpy(layer.restore(names))[0]
    np.testing.assert_allclose(restored, expected, atol=1e-5)


def test_the_array_given_may_change():
    memory = np.zeros(4096, "uint8")
    # Where JAX would use it as it is.
    start = -memory.ctypes.data % 64
    colors = memory[start : start + 36].view("float32").reshape(3, 3)
    layer = ColorPalette(num_colors=3)
    layer.assign_colors(colors)
    colors += 1.0
    np.testing.assert_array_equal(to_numpy(layer.colors), np.zeros((3, 3)))


def test_half_precision_changes_no_name():
    pixels = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    names = [
        to_numpy(ColorPalette(512, dtype=dtype)(pixels))
        for dtype in ("float32", "mixed_bfloat16")
    ]
    np.testing.assert_array_equal(*names)


@pytest.mark.parametrize(
    ("num_colors", "levels"),
    [(512, [8, 8, 8]), (32, [4, 4, 2]), (12, [3, 2, 2]), (7, [7, 1, 1])],
)
def test_the_first_colours_are_even(num_colors, levels):
    colors = even_colors(num_colors, 3)
    assert colors.shape == (num_colors, 3)
    assert len(np.unique(colors, axis=0)) == num_colors
    assert [len(np.unique(channel)) for channel in colors.T] == levels
    np.testing.assert_allclose(colors.mean(axis=0), 0.0, atol=1e-6)


def test_other_channels_and_round_trip():
    layer = ColorPalette(8, 1)
    assert layer.mean == pytest.approx((0.449,))
    clone = ColorPalette.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()
    assert layer(np.zeros((2, 4, 1), "float32")).shape == (2, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mean": (0.5, 0.5), "standard_deviation": (0.2, 0.2)},
        {"standard_deviation": "grey", "mean": (0.5, 0.5, 0.5)},
        {"standard_deviation": (0.2, 0.2, 0.0), "mean": (0.5, 0.5, 0.5)},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        ColorPalette(8, **arguments)


@pytest.mark.parametrize("name", ["mean", "standard_deviation"])
def test_one_of_two_statistics(name):
    with pytest.raises(ValueError, match=f"given together.*{name}=\\(0.5"):
        ColorPalette(8, **{name: (0.5, 0.5, 0.5)})


def test_bad_palettes():
    layer = ColorPalette(8)
    with pytest.raises(ValueError, match="must have the shape"):
        layer.assign_colors(np.zeros((9, 3)))
    with pytest.raises(ValueError, match="finite"):
        layer.assign_colors(np.full((8, 3), np.nan))
    assert keras.ops.all(keras.ops.isfinite(layer.colors))


@pytest.mark.parametrize(
    ("num_channels", "image_channels"), [(3, 1), (1, 3), (3, 4), (4, 3)]
)
def test_images_of_other_channels(num_channels, image_channels):
    layer = ColorPalette(8, num_channels=num_channels)
    images = np.zeros((2, 4, 4, image_channels), "float32")
    with pytest.raises(ValueError, match=f"must have {num_channels} channels"):
        layer(images)


def test_images_that_are_not_normalised():
    with pytest.raises(ValueError, match="floating point, normalised"):
        ColorPalette(8)(np.zeros((2, 4, 4, 3), "uint8"))


@pytest.mark.parametrize("kind", [np.array, list])
@pytest.mark.parametrize("token_id", [-1, 8])
def test_numbers_of_no_colour(token_id, kind):
    with pytest.raises(ValueError, match="`token_ids` must be from 0 to 7"):
        ColorPalette(8).restore(kind([0, token_id]))
