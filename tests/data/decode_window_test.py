"""Parts of images, of JPEGs decoded at a reduced size."""

import io

import numpy as np
import pytest
from image_helpers import encode
from PIL import Image

from keras_capi.data import decode_image as module
from keras_capi.data.decode_image import decode_image
from keras_capi.data.decode_window import decode_window
from keras_capi.data.image_files import ImageError

ORIENTATION = 0x0112


def waves(height, width):
    """Structures of all sizes and directions, whose place shows."""
    y, x = np.indices((height, width)) / 40
    channels = [np.sin(x * x / 3), np.sin(y * y / 3), np.sin(x + 2 * y)]
    pixels = np.stack(channels, axis=-1) * 100 + 128
    return Image.fromarray(pixels.astype("uint8"))


def encode_turned(image, orientation=1, kind="JPEG"):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"save_all": True} if kind == "MPO" else {}
    return encode(image, kind, exif=exif, quality=95, **options)


def cut(encoded, window, size):
    """The part of the whole image, resized without any reduction."""
    pixels, _ = decode_image(encoded)
    top, left, height, width = window
    part = pixels[top : top + height, left : left + width]
    part = Image.fromarray(part).resize((size, size), Image.BICUBIC)
    return np.asarray(part, "float32")


@pytest.fixture
def decoded_sizes(monkeypatch):
    """Width and height of each image as it was decoded."""
    sizes, turn = [], module.turn_upright

    def remember(image):
        image.load()
        sizes.append(image.size)
        return turn(image)

    monkeypatch.setattr(module, "turn_upright", remember)
    return sizes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_reduced_parts_are_those_drawn(kind, orientation, decoded_sizes):
    # Sides that no factor divides.
    encoded = encode_turned(waves(605, 803), orientation, kind)
    upright = (605, 803) if orientation < 5 else (803, 605)
    drawn, window = [], (101, 53, 500, 407)

    def draw(image_size):
        drawn.append(image_size)
        return window

    image, kinds = decode_window(encoded, 40, draw)
    assert drawn == [upright]
    assert decoded_sizes == [(201, 152)]
    assert kinds == ({"rotated"} if orientation > 1 else set())
    assert (image.mode, image.size) == ("RGB", (40, 40))
    expected = cut(encoded, window, 40)
    image = np.asarray(image, "float32")
    assert np.abs(image - expected).mean() < 1.5
    # Four pixels beside are a third of one of the result.
    for other in ((105, 53, 500, 407), (101, 57, 500, 407)):
        assert np.abs(image - cut(encoded, other, 40)).mean() > 8


@pytest.mark.parametrize(
    ("sides", "decoded"),
    [
        ((640, 640), (80, 80)),
        ((640, 639), (160, 160)),
        ((319, 640), (320, 320)),
        ((160, 500), (320, 320)),
        ((159, 500), (640, 640)),
        ((10, 20), (640, 640)),
    ],
)
def test_two_pixels_remain_for_one(sides, decoded, decoded_sizes):
    encoded = encode(Image.new("RGB", (640, 640)), "JPEG")
    decode_window(encoded, 40, lambda size: (0, 0, *sides))
    assert decoded_sizes == [decoded]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_parts_without_reduction_are_exact(mode, kind):
    if (mode, kind) in {("1", "JPEG"), ("CMYK", "PNG")}:
        pytest.skip("no such files")
    encoded = encode(waves(60, 50).convert(mode), kind)
    window = (3, 5, 40, 30)
    image, _ = decode_window(encoded, 24, lambda size: window)
    np.testing.assert_array_equal(image, cut(encoded, window, 24))


@pytest.mark.parametrize("shape", [(60, 50, 3), (60, 50, 1), (60, 50)])
def test_arrays_are_cut_likewise(shape):
    pixels = np.asarray(waves(60, 50))
    pixels = pixels if shape[-1] == 3 else pixels[..., 0].reshape(shape)
    window = (3, 5, 40, 30)
    image, _ = decode_window(pixels, 24, lambda size: window)
    np.testing.assert_array_equal(image, cut(pixels, window, 24))
    deep, _ = decode_window(pixels * np.uint16(256), 24, lambda size: window)
    np.testing.assert_array_equal(deep, image)


def test_large_images_that_are_decoded_whole_lose_little():
    pixels = np.asarray(waves(600, 800))
    window = (50, 100, 500, 600)
    image, _ = decode_window(pixels, 50, lambda size: window)
    difference = np.asarray(image, "float32") - cut(pixels, window, 50)
    assert np.abs(difference).mean() < 1.5


def test_images_of_the_caller_stay_whole():
    image = Image.open(io.BytesIO(encode(waves(600, 800), "JPEG")))
    decode_window(image, 20, lambda size: (0, 0, 600, 800))
    assert image.size == (800, 600)


def test_truncated_jpegs_are_errors():
    encoded = encode(waves(600, 800), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        decode_window(encoded[:9000], 20, lambda size: (0, 0, 600, 800))
