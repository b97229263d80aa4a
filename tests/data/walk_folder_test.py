"""The walk through a folder, the same for every reader."""

import os
import pathlib
import tarfile

import numpy as np
import pytest
from PIL import Image

from keras_capi.data import AugmentedImages
from keras_capi.data import ImageLoader
from keras_capi.data import TarShards
from keras_capi.data import find_images
from keras_capi.data import load_images
from keras_capi.data import load_labelled_images
from keras_capi.data import load_segmentation

CLUTTER = (
    ".DS_Store.png",
    "._2.png",
    ".hidden/a.png",
    ".ipynb_checkpoints/1-checkpoint.png",
    "__MACOSX/1.png",
    "__MACOSX/cat/._1.png",
    "@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
    "#recycle/1.png",
    "$RECYCLE.BIN/1.png",
    "cat/.thumbnails/1.png",
    "cat/._1.png",
    "cat/@eaDir/1.png",
    "cat/__MacOSX/1.png",
    "lost+found/1.png",
    "System Volume Information/1.png",
)


def save(path, gray=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), gray).save(path)


def names_in(folder):
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


@pytest.fixture
def cluttered(tmp_path):
    """Three images in two classes, among what is none of people's own."""
    folder = tmp_path / "images"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", *CLUTTER):
        save(folder / name)
    return folder


EXPECTED = ["cat/1.png", "cat/2.png", "dog/1.png"]


def test_clutter_is_left_out_by_every_reader(cluttered, tmp_path):
    assert names_in(cluttered) == EXPECTED
    assert list(load_images(cluttered)) == EXPECTED
    assert ImageLoader(cluttered, image_size=14).names == EXPECTED
    _, labels, class_names = load_labelled_images(cluttered, image_size=8)
    assert class_names == ["cat", "dog"]
    np.testing.assert_array_equal(labels, [0, 0, 1])
    for name in (*EXPECTED, "__MACOSX/cat/._1.png", "._3.png"):
        save(tmp_path / "masks" / name)
    images, _ = load_segmentation((cluttered, tmp_path / "masks"), image_size=8)
    assert len(images) == 3
    dataset = AugmentedImages(cluttered, image_size=8, batch_size=3)
    assert dataset.epoch_length == 1
    (tmp_path / "._1.tar").write_bytes(b"")
    for root in ("images", ".", "../images"):
        with tarfile.open(tmp_path / "1.tar", "w") as shard:
            shard.add(cluttered, root)
        shards = TarShards(tmp_path)
        assert sorted(shards.name(index) for index in range(len(shards))) == [
            f"{tmp_path}/1.tar/{root}/{name}" for name in EXPECTED
        ]


def test_what_is_named_is_read(cluttered):
    hidden = cluttered / ".hidden"
    assert find_images(hidden) == [hidden / "a.png"]
    assert find_images(cluttered / "._2.png") == [cluttered / "._2.png"]
    paths = [cluttered / "@eaDir", str(cluttered / "cat/._1.png")]
    assert [path.name for path in find_images(paths)] == [
        "SYNOPHOTO_THUMB_M.png",
        "._1.png",
    ]
    assert list(load_images(hidden)) == ["a.png"]
    loader = ImageLoader(cluttered / "._2.png", image_size=14)
    ((_, images),) = list(loader)
    assert len(images) == 1


def test_nothing_but_clutter(tmp_path):
    save(tmp_path / ".cache" / "a.png")
    for read in (find_images, load_images, ImageLoader, AugmentedImages):
        with pytest.raises(ValueError, match=r"not hidden.*Received: /"):
            read(tmp_path)


def test_links_to_folders_are_followed(tmp_path):
    save(tmp_path / "disk" / "a" / "2.png")
    save(tmp_path / "disk" / "b.png")
    folder = tmp_path / "images"
    save(folder / "1.png")
    (folder / "more").symlink_to(tmp_path / "disk")
    (folder / "x").mkdir()
    (folder / "x" / "0.png").symlink_to(folder / "1.png")
    expected = ["1.png", "more/a/2.png", "more/b.png", "x/0.png"]
    assert names_in(folder) == expected
    assert list(load_images(folder)) == expected
    loader = ImageLoader(folder, image_size=14)
    assert [name for names, _ in loader for name in names] == expected


def test_links_to_one_folder_bring_its_images_once(tmp_path):
    save(tmp_path / "disk" / "1.png")
    folder = tmp_path / "images"
    save(folder / "z" / "2.png")
    (folder / "a").symlink_to("z")  # Before the folder in the alphabet.
    (folder / "c").symlink_to(tmp_path / "disk")
    (folder / "b").symlink_to(folder / "c")
    (folder / "z" / "d").symlink_to(tmp_path / "disk")
    assert names_in(folder) == ["b/1.png", "z/2.png"]


@pytest.mark.parametrize("target", [".", "..", "a", "a/b"])
def test_cycles_end(tmp_path, target):
    folder = tmp_path / "only" / "images"
    save(folder / "a" / "b" / "1.png")
    (folder / "a" / "b" / "loop").symlink_to(folder / target)
    assert names_in(folder) == ["a/b/1.png"]


def test_a_link_to_itself(tmp_path):
    save(tmp_path / "1.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.warns(UserWarning, match=r"/loop \(a link to nothing\)"):
        assert names_in(tmp_path) == ["1.png"]


def test_classes_that_are_links(tmp_path):
    save(tmp_path / "disk" / "cats" / "1.png", 100)
    save(tmp_path / "disk" / "cats" / "young" / "1.png", 100)
    folder = tmp_path / "images"
    save(folder / "dog" / "1.png", 200)
    (folder / "cat").symlink_to(tmp_path / "disk" / "cats")
    (folder / "all").symlink_to(folder)  # No class.
    images, labels, class_names = load_labelled_images(folder, image_size=8)
    assert class_names == ["cat", "dog"]
    np.testing.assert_array_equal(labels, [0, 0, 1])
    np.testing.assert_array_equal(images[:, 0, 0, 0], [100, 100, 200])
    (folder / "kitten").symlink_to(folder / "cat" / "young")
    with pytest.raises(ValueError, match="images of its own.*/kitten"):
        load_labelled_images(folder, image_size=8)


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder with a subfolder that cannot be read."""
    save(tmp_path / "cat" / "1.png")
    save(tmp_path / "locked" / "2.png")
    scandir = os.scandir

    # As an administrator's tests may read everything.
    def deny(path):
        if pathlib.Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    return tmp_path


def test_folders_that_cannot_be_read_are_named(locked):
    message = r"Left out .*1: /.*/locked \(Permission denied\)"
    with pytest.warns(UserWarning, match=message) as warnings:
        assert names_in(locked) == ["cat/1.png"]
    assert len(warnings) == 1
    with pytest.warns(UserWarning, match=message):
        assert list(load_images(locked)) == ["cat/1.png"]
    with pytest.warns(UserWarning, match=message):
        assert ImageLoader(locked, image_size=14).names == ["cat/1.png"]
    with (
        pytest.warns(UserWarning, match=message),
        pytest.raises(ValueError, match="Each class .*/locked"),
    ):
        load_labelled_images(locked)
    with (
        pytest.warns(UserWarning, match=message),
        pytest.raises(ValueError, match="A folder must contain .*/locked"),
    ):
        find_images(locked / "locked")


def test_broken_links_are_named(tmp_path):
    save(tmp_path / "cat" / "1.png")
    (tmp_path / "disk").symlink_to(tmp_path / "not mounted")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nothing.txt")
    with pytest.warns(UserWarning, match=r"1: .*/disk \(a link to nothing\)"):
        assert names_in(tmp_path) == ["cat/1.png"]
    (tmp_path / "disk").unlink()
    (tmp_path / "cat" / "2.png").symlink_to(tmp_path / "annex.png")
    with pytest.warns(UserWarning, match=r"Skipped 1 of 2 .*cat/2.png"):
        assert list(load_images(tmp_path)) == ["cat/1.png"]


def test_pipes_are_no_images(tmp_path):
    save(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    assert names_in(tmp_path) == ["1.png"]


def test_a_folder_adds_what_is_new(tmp_path, monkeypatch):
    """Whatever files and folders of it are given, and however written."""
    for name in ("1.png", "2.png", "cat/3.png"):
        save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for paths, names in (
        (["2.png", tmp_path], "2.png 1.png 3.png"),
        ([tmp_path, "2.png"], "1.png 3.png 2.png"),
        (["cat", ".", tmp_path], "3.png 1.png 2.png"),
        (["1.png", "1.png", "cat"], "1.png 1.png 3.png"),
    ):
        assert " ".join(path.name for path in find_images(paths)) == names


def test_kinds_of_paths(tmp_path, monkeypatch):
    save(tmp_path / "1.png")
    path = tmp_path / "1.png"
    for paths in (path, str(path), tmp_path):
        assert find_images(paths) == [path]
    assert find_images(path for _ in range(2)) == [path, path]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_images("~") == [path]
    assert find_images(["~/1.png"]) == [path]
    assert list(load_images("~")) == ["1.png"]
    assert ImageLoader(["~/1.png"], image_size=14).names == ["~/1.png"]
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "~no user.png")
    assert find_images("~no user.png") == [pathlib.Path("~no user.png")]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (3, "`paths` must be a path.*Received: paths=3"),
        (None, "`paths` must be a path.*paths=None"),
        ([None], "`paths` must be a path.*paths=None"),
        ("", "`paths` must not be empty"),
        ("nowhere", "There must be a file or folder nowhere"),
    ],
)
def test_bad_paths(paths, message):
    with pytest.raises((TypeError, ValueError), match=message):
        find_images(paths)
