import numpy as np
import pytest

from keras_capi.visualization import picture_grid


def test_rows_columns_and_scales():
    pictures = [np.zeros((8, 12, 3), "uint8")] * 2
    maps = [np.full((2, 3), 0.2), np.full((2, 3), 0.4)]
    figure = picture_grid({"image": pictures, "map": maps}, ["a", "b"])
    first, second, third, fourth = figure.axes
    assert (first.get_title(), second.get_title()) == ("a", "map")
    assert (third.get_title(), fourth.get_title()) == ("b", "")
    for axes, values in ((second, maps[0]), (fourth, maps[1])):
        [drawn] = axes.get_images()
        np.testing.assert_array_equal(drawn.get_array(), values)
        assert drawn.get_clim() == (0, 0.4)
        assert tuple(drawn.get_extent()) == (0, 12, 8, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_images_of_any_channels(count):
    """A fourth channel is not transparency."""
    image = np.arange(count, dtype="uint8") + np.zeros((4, 4, 1), "uint8")
    [drawn] = picture_grid({"image": [image]}).axes[0].get_images()
    colors = [0, 0, 0] if count < 3 else [0, 1, 2]
    np.testing.assert_array_equal(drawn.get_array()[0, 0], colors)


@pytest.mark.parametrize("name", ["image", "other"])
@pytest.mark.parametrize(
    "picture",
    [np.full((4, 4, 3), 2.5), np.full((4, 4, 13), 4095, "uint16")],
    ids=["normalised", "16 bits"],
)
def test_pictures_that_would_be_cut_off(picture, name):
    good = np.zeros((4, 4, 3))
    columns = {"image": [good] * 2, "other": [good] * 2}
    columns[name] = [good, picture]
    with pytest.raises(ValueError, match=r"uint8, or floats in \[0, 1\]"):
        picture_grid(columns)


def test_lengths_differ():
    picture = np.zeros((8, 12, 3))
    with pytest.raises(ValueError, match=r"lengths \[2, 1\]"):
        picture_grid({"a": [picture] * 2, "b": [picture]})
    with pytest.raises(ValueError, match="1 titles"):
        picture_grid({"a": [picture] * 2}, ["b"])


@pytest.mark.parametrize("columns", [{}, {"a": []}, {"a": [], "b": []}])
def test_no_images(columns):
    with pytest.raises(ValueError, match="`columns` must have one or more"):
        picture_grid(columns)
