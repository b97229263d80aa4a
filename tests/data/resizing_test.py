import keras
import numpy as np
import pytest
from PIL import Image

from keras_capi.data import ImageLoader
from keras_capi.data import load_images
from keras_capi.data import load_labelled_images
from keras_capi.data import load_segmentation
from keras_capi.data import resize_shorter_side
from keras_capi.data.resizing import resize_and_crop


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


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        # Pillow would multiply three channels by the fourth.
        ((8, 8, 4), "uint8"),
        ((8, 8, 13), "uint8"),
        ((8, 8, 1), "uint8"),
        ((8, 8), "uint8"),
        ((0, 8, 3), "uint8"),
        ((8, 8, 3), "uint16"),
        ((8, 8, 3), "float64"),
    ],
)
def test_other_arrays_are_refused(shape, dtype):
    with pytest.raises(ValueError, match="uint8 array.*Resizing.*Received"):
        resize_shorter_side(np.zeros(shape, dtype), 4)


def test_tensors():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), "uint8")
    np.testing.assert_array_equal(
        resize_shorter_side(keras.ops.convert_to_tensor(image), 4),
        resize_shorter_side(image, 4),
    )


def make_strip(shape):
    """Brighter along its length, from the middle of which 128 is taken."""
    length = max(shape)
    levels = np.linspace(0, 256, length, endpoint=False).astype("uint8")
    levels = levels[:, None] if shape[0] == length else levels[None]
    return np.broadcast_to(levels[..., None], (*shape, 3)).copy()


@pytest.fixture
def most_pixels(monkeypatch):
    """A function that returns the largest size to which was resized."""
    sizes = []
    resize = Image.Image.resize

    def record(image, size, *arguments):
        sizes.append(size)
        return resize(image, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", record)
    return lambda: max(width * height for width, height in sizes)


@pytest.mark.parametrize("shape", [(1, 50_001), (50_000, 1), (3, 40_000)])
@pytest.mark.parametrize("crop_ratio", [0.875, 1.0, 0.1])
def test_strips_take_little_memory(shape, crop_ratio, most_pixels):
    for size in ((56, 56), (28, 112)):
        image = resize_and_crop(
            Image.fromarray(make_strip(shape)), size, crop_ratio
        )
        assert image.shape == (*size, 3)
        np.testing.assert_allclose(image, 128, atol=2)
    assert most_pixels() < 4_000_000


@pytest.mark.parametrize("shape", [(20, 270), (290, 21)])
def test_longish_images_stay_whole(shape):
    """The result is exactly that of resizing all of it."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), "uint8")
    across, along = 32, 32 * max(shape) // min(shape)
    whole = (along, across) if shape[1] > shape[0] else (across, along)
    image = Image.fromarray(pixels).resize(whole, Image.Resampling.BICUBIC)
    left, top = (round((n - 28) / 2) for n in whole)
    np.testing.assert_array_equal(
        resize_and_crop(Image.fromarray(pixels), (28, 28), 0.875),
        np.array(image)[top : top + 28, left : left + 28],
    )


def test_a_strip_cannot_be_resized_whole():
    with pytest.raises(ValueError, match="crop the longer side.*size=256"):
        resize_shorter_side(np.zeros((1, 50_000, 3), "uint8"), 256)


def test_strips_in_every_reader(tmp_path, most_pixels):
    folder, masks = tmp_path / "images" / "a", tmp_path / "masks" / "a"
    folder.mkdir(parents=True)
    masks.mkdir(parents=True)
    for name, shape in (
        ("1", (60, 50)),
        ("2", (1, 99_999)),
        ("3", (99_999, 1)),
    ):
        Image.fromarray(make_strip(shape)).save(folder / f"{name}.png")
        Image.new("L", shape[::-1], 7).save(masks / f"{name}.png")
    ((_, images),) = list(ImageLoader(folder, image_size=56))
    assert images.shape == (3, 56, 56, 3)
    images, _, _ = load_labelled_images(folder.parent, image_size=56)
    assert images.shape == (3, 56, 56, 3)
    images, labels = load_segmentation((folder, masks), image_size=56)
    assert images.shape == (3, 56, 56, 3)
    assert np.all(labels == 7)
    with pytest.warns(UserWarning, match=r"Skipped 2 of 3 .*2\.png .*3\.png"):
        assert list(load_images(folder, shorter_side=1024)) == ["1.png"]
    assert most_pixels() < 4_000_000
