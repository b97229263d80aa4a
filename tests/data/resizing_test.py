import numpy as np
import pytest

from keras_capi.data import resize_shorter_side


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((300, 450, 3), (100, 150, 3)),
        ((450, 301, 3), (150, 100, 3)),
        ((50, 60, 3), (100, 120, 3)),
        ((100, 100, 3), (100, 100, 3)),
    ],
)
def test_shape(shape, expected):
    image = np.full(shape, 9, "uint8")
    resized = resize_shorter_side(image, 100)
    assert resized.shape == expected
    assert resized.dtype == np.uint8
    assert np.all(resized == 9)


def test_is_antialiased():
    image = np.zeros((64, 64, 3), "uint8")
    image[::2] = 255
    resized = resize_shorter_side(image, 8)
    np.testing.assert_allclose(resized, 127.5, atol=8)


def test_bad_size():
    with pytest.raises(ValueError, match="`size` must be"):
        resize_shorter_side(np.zeros((4, 4, 3), "uint8"), 0)
