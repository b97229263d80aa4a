"""What counts as an image, and what as an error."""

import itertools

import numpy as np
import pytest
from image_helpers import encode
from image_helpers import make_dataset
from image_helpers import photo
from image_helpers import which
from image_helpers import write_folder
from PIL import Image

import keras_capi


def test_rows_with_images():
    """As of Hugging Face's and TensorFlow's data sets."""
    rows = [{"image": Image.fromarray(photo(i)), "label": 1} for i in range(4)]
    assert sorted(which([make_dataset(rows)[0][0]])) == [0, 1, 2, 3]
    rows = [{"img": row["image"]} for row in rows]
    dataset = make_dataset(rows, key="img")
    assert sorted(which([dataset[0][0]])) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"`key` must.*'image'.*\['img'\]"):
        make_dataset(rows)[0]


def test_rows_that_are_not_decoded(tmp_path):
    """As of Hugging Face's `Image(decode=False)`."""
    folder = write_folder(tmp_path / "images", 4)
    paths = [str(path) for path in sorted(folder.iterdir())]
    encoded = (folder / "01.png").read_bytes()
    images = [
        {"bytes": None, "path": paths[0]},
        {"bytes": encoded, "path": "elsewhere.png"},
        {"bytes": bytearray((folder / "02.png").read_bytes()), "path": None},
        {"bytes": (folder / "03.png").read_bytes(), "path": None},
    ]
    for items in (images, [{"image": image, "label": 1} for image in images]):
        assert sorted(which([make_dataset(items)[0][0]])) == [0, 1, 2, 3]


class Broken(list):
    """A data set with an error in its own code."""

    def __init__(self, items, error):
        super().__init__(items)
        self.error = error

    def __getitem__(self, index):
        if index == 2:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize(
    "error",
    [
        TypeError("unsupported operand"),
        ValueError("bad row"),
        IndexError("list index"),
        ConnectionResetError("the server"),
        SyntaxError("of a generated file"),
        EOFError("no more"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_the_source_are_not_unreadable_images(error):
    dataset = make_dataset(Broken([photo(1)] * 4, error))
    with pytest.raises(type(error), match=str(error)) as caught:
        dataset[0]
    assert "Item 2 of the source" in caught.value.__notes__[0]
    assert dataset.counts["unreadable"] == 0


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "leave out items without an image.*type NoneType"),
        ({"image": None}, "leave out.*type NoneType"),
        ({"bytes": None, "path": None}, "leave out.*type NoneType"),
        ((photo(1), 3), "image alone.*type tuple, of ndarray, int"),
        ([Image.new("RGB", (9, 9)), 3], "image alone.*type list, of Image"),
        ({"image": (b"", "a", 3, 4)}, "tuple, of bytes, str, int, ..."),
        (3, "Items must be images.*type int"),
        (photo(1).astype("float32"), "uint8.*dtype float32"),
        (photo(1).transpose(2, 0, 1), r"uint8.*shape \(3, 40, 50\)"),
        (Image.new("F", (9, 9)), "32-bit images.*mode F"),
        (np.float32(1), "uint8"),
    ],
)
def test_what_is_no_image_is_named(item, message):
    with pytest.raises(ValueError, match=message):
        make_dataset([photo(1), photo(1), photo(1), item])[0]


def test_only_a_share_may_be_skipped():
    encoded = encode(Image.fromarray(photo(5)))
    items = [b"broken", b"", *[encoded] * 4]
    message = (
        r"readable, except .*`max_skipped`: leave out .*max_skipped=0.25\. "
        r"Skipped 2 of 6 images.*: [01] \(cannot identify image file\), [01] "
    )
    with pytest.raises(ValueError, match=message):
        make_dataset(items, batch_size=6)[0]
    (batch,) = make_dataset(items, batch_size=6, max_skipped=0.5)[0]
    assert which([batch]) == [5] * 6
    with pytest.raises(ValueError, match="max_skipped=0. Skipped 1 of"):
        make_dataset([b"", *[encoded] * 9], max_skipped=0, batch_size=10)[0]
    with pytest.raises(ValueError, match="must be readable.*4 of 4 images"):
        make_dataset([b"broken"] * 4, max_skipped=1)[0]


def test_notices_early_that_too_many_are_skipped(monkeypatch):
    monkeypatch.setattr(keras_capi.data.augmented_images, "ENOUGH_TRIED", 20)
    encoded = encode(Image.fromarray(photo(5)))
    dataset = make_dataset([b"broken", encoded] * 500)
    with pytest.raises(ValueError, match=r"Skipped \d+ of 1000"):
        for index in range(10):
            dataset[index]
    dataset = make_dataset([b"broken", *[encoded] * 19] * 50)
    for index in range(20):
        dataset[index]


def test_sources():
    images = {f"{index}.png": photo(index) for index in range(4)}
    assert sorted(which([make_dataset(images)[0][0]])) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="unlike a stream.*type set"):
        make_dataset({1, 2, 3, 4})
    with pytest.raises(ValueError, match="An iterator.*type ndarray"):
        make_dataset(photo(index) for index in itertools.count())
    with pytest.raises(ValueError, match=r"RandomCrops.*\(9, 9, 4\)"):
        make_dataset(np.zeros((9, 9, 4), "uint8"))


@pytest.mark.parametrize("shape", [(64, 64, 13), (32, 40, 6), (20, 32, 16)])
def test_many_channels_are_no_grey_images(shape):
    image = np.zeros(shape, "uint8")
    with pytest.raises(ValueError, match="must be several images"):
        keras_capi.data.AugmentedImages(image, image_size=8, batch_size=2)
    with pytest.raises(ValueError, match="Images must be .*RandomCrops"):
        keras_capi.data.ImageLoader(image)


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 28, 28), (5, 64, 17)])
def test_grey_images_in_one_array(shape):
    images = np.zeros(shape, "uint8")
    assert len(keras_capi.data.ImageLoader(images).names) == 5


def test_iterators_of_paths(tmp_path):
    folder = write_folder(tmp_path / "images", 4)
    dataset = make_dataset(folder.glob("*.png"))
    assert sorted(which([dataset[0][0]])) == [0, 1, 2, 3]
