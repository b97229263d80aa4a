"""Images with classes, from folders and from TensorFlow Datasets."""

import sys
import types
import unicodedata

import numpy as np
import pytest
from PIL import Image

from keras_capi.data import ImageLoader
from keras_capi.data import load_labelled_images


def save(path, height=40, width=50, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), "uint8")
    image = Image.fromarray(coarse).resize((width, height))
    image.save(path)
    return np.array(image)


def expected_image(image, resized=32, size=28):
    """The paper's evaluation, in Pillow."""
    image = Image.fromarray(image)
    if image.width < image.height:
        shape = (resized, resized * image.height // image.width)
    else:
        shape = (resized * image.width // image.height, resized)
    image = image.resize(shape, Image.Resampling.BICUBIC)
    left = round((image.width - size) / 2)
    top = round((image.height - size) / 2)
    return np.array(image.crop((left, top, left + size, top + size)))


@pytest.fixture
def folder(tmp_path):
    """A folder in which the order of classes and files is not by chance."""
    for seed, name in enumerate(
        ("dog/z.png", "cat/b.png", "dog/a.png", "cat/young/a.png", "Eel/c.png")
    ):
        save(tmp_path / name, 40 + seed, 50 - 7 * seed, seed)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_folder(folder):
    images, labels, class_names = load_labelled_images(folder, image_size=28)
    assert class_names == ["Eel", "cat", "dog"]
    np.testing.assert_array_equal(labels, [0, 1, 1, 2, 2])
    assert labels.dtype == np.int32
    assert images.dtype == np.uint8
    names = ("Eel/c", "cat/b", "cat/young/a", "dog/a", "dog/z")
    for image, name in zip(images, names, strict=True):
        original = np.array(Image.open(folder / f"{name}.png"))
        np.testing.assert_array_equal(image, expected_image(original))


@pytest.mark.parametrize("arguments", [{}, {"crop_ratio": 1.0}], ids=str)
def test_prepares_like_image_loader(folder, arguments):
    images, _, _ = load_labelled_images(str(folder), **arguments)
    loader = ImageLoader(folder, normalization=lambda batch: batch, **arguments)
    ((_, expected),) = list(loader)
    assert images.shape == (5, 224, 224, 3)
    np.testing.assert_array_equal(images, expected)


def test_classes_are_the_same_however_systems_write_them(tmp_path):
    for form in ("NFC", "NFD"):
        for seed, name in enumerate(("zebra", "\xe9")):
            name = unicodedata.normalize(form, name)
            save(tmp_path / form / name / "a.png", seed=seed)
    images, labels, names = load_labelled_images(tmp_path / "NFC", 28)
    others, other_labels, other_names = load_labelled_images(
        tmp_path / "NFD", 28
    )
    assert other_names == names == ["zebra", "\xe9"]
    for label in (0, 1):
        np.testing.assert_array_equal(
            others[other_labels == label], images[labels == label]
        )


def test_many_more_files_than_are_read_ahead(tmp_path):
    for label in range(3):
        for index in range(25):
            color = (80 * label, index, 0)
            path = tmp_path / str(label) / f"{index:02}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 4), color).save(path)
    images, labels, _ = load_labelled_images(tmp_path, image_size=4)
    np.testing.assert_array_equal(labels, np.repeat(range(3), 25))
    np.testing.assert_array_equal(images[:, 0, 0, 0], 80 * labels)
    np.testing.assert_array_equal(images[:, 0, 0, 1], list(range(25)) * 3)


def test_damaged_files_are_named_and_skipped(folder):
    (folder / "cat" / "a.jpg").write_bytes(b"")
    content = (folder / "dog" / "a.png").read_bytes()
    (folder / "dog" / "a.png").write_bytes(content[:200])
    with pytest.warns(
        UserWarning, match=r"Skipped 2 of 6 .*cat/a.jpg .*dog/a.png"
    ) as warnings:
        images, labels, _ = load_labelled_images(folder, image_size=28)
    assert len(warnings) == 1
    assert warnings[0].filename == __file__
    np.testing.assert_array_equal(labels, [0, 1, 1, 2])
    original = np.array(Image.open(folder / "dog" / "z.png"))
    np.testing.assert_array_equal(images[-1], expected_image(original))


def test_class_without_readable_images(folder):
    (folder / "Eel" / "c.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="Eel/c.png"),
        pytest.raises(ValueError, match="must have an image .* of 1: Eel"),
    ):
        load_labelled_images(folder)


def test_empty_class(folder):
    (folder / "ant" / "young").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"must contain images .*/ant$"):
        load_labelled_images(folder)


def test_images_outside_classes(folder):
    for index in range(12):
        save(folder / f"{index:02}.png")
    with pytest.raises(
        ValueError, match=r"in subfolders.* 12: 00.png.* 09.png, \.\.\.$"
    ):
        load_labelled_images(folder)


def test_no_folder_and_no_classes(tmp_path):
    with pytest.raises(ValueError, match="subfolder for each class"):
        load_labelled_images(tmp_path)
    save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", tmp_path / "none"):
        with pytest.raises(ValueError, match=f"existing folder.*{source}"):
            load_labelled_images(source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "`image_size` must be a positive integer"),
        ({"crop_ratio": 1.5}, r"`crop_ratio` must be in \(0, 1\]"),
        ({"split": "train"}, "`split` must be None for a folder.*'train'"),
    ],
    ids=str,
)
def test_bad_arguments(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_labelled_images(folder, **arguments)


class StandInTfds(types.ModuleType):
    """Has the two functions in use, with the signatures of version 4.9."""

    def __init__(self, examples, names=("zero", "one", "two")):
        super().__init__("tensorflow_datasets")
        self.examples = examples
        label = types.SimpleNamespace()
        if names is not None:
            label.names = list(names)
        self.info = types.SimpleNamespace(
            features={"picture": object(), "kind": label},
            supervised_keys=("picture", "kind"),
        )
        self.calls = []

    def load(
        self,
        name,
        *,
        split=None,
        data_dir=None,
        batch_size=None,
        shuffle_files=False,
        download=True,
        as_supervised=False,
        with_info=False,
    ):
        self.calls.append((name, split, shuffle_files))
        assert as_supervised and with_info
        return "a tf.data.Dataset", self.info

    def as_numpy(self, dataset):
        assert dataset == "a tf.data.Dataset"
        return iter(self.examples)


def stand_in(monkeypatch, *arguments):
    tfds = StandInTfds(*arguments)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", tfds)
    return tfds


def examples(count=40):
    generator = np.random.default_rng(0)
    for index in range(count):
        shape = (30 + index, 34, 1 if index % 2 else 3)
        image = generator.integers(0, 256, shape, "uint8")
        yield image, np.int64(index % 3)


def test_tensorflow_datasets(monkeypatch):
    tfds = stand_in(monkeypatch, examples())
    images, labels, class_names = load_labelled_images(
        "tfds:mnist", image_size=28, split="test[:40]"
    )
    assert tfds.calls == [("mnist", "test[:40]", False)]
    assert class_names == ["zero", "one", "two"]
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.arange(40) % 3)
    for image, (original, _) in zip(images, examples(), strict=True):
        colors = np.broadcast_to(original, (*original.shape[:2], 3))
        np.testing.assert_array_equal(image, expected_image(colors))


@pytest.mark.parametrize("split", [None, ["train", "test"]], ids=str)
def test_tensorflow_datasets_need_a_split(monkeypatch, split):
    stand_in(monkeypatch, examples())
    with pytest.raises(ValueError, match="`split` must be a string.*tfds:mn"):
        load_labelled_images("tfds:mnist", split=split)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([[]], "must not be empty.*tfds:mnist.*'test'"),
        ([[(np.zeros((9, 9, 3), "uint8"), -1)]], "with labels.*label -1"),
        ([[(np.zeros((9, 9, 3), "uint8"), 3)]], "with labels.*label 3"),
        ([[(np.zeros((9, 9, 4), "uint8"), 0)]], r"shape \(9, 9, 4\)"),
        ([[], None], "one class for each image.*tfds:mnist"),
    ],
    ids=["empty", "unlabelled", "too large", "channels", "no classes"],
)
def test_unsuitable_tensorflow_datasets(monkeypatch, arguments, message):
    stand_in(monkeypatch, *arguments)
    with pytest.raises(ValueError, match=message):
        load_labelled_images("tfds:mnist", split="test")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"keras-capi\[tensorflow\]"):
        load_labelled_images("tfds:mnist", split="test")
