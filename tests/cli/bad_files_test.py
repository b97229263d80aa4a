"""What cannot be read or written ends a command with one line that names it."""

import random
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from cli.run_command import save_run
from conftest import REFERENCE
from PIL import Image

from keras_capi.cli.main import main


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs a command which fails, and returns its error."""

    def run(*arguments):
        arguments = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["keras-capi", *arguments])
        with pytest.raises(SystemExit) as error:
            main()
        message = str(error.value)
        assert message.startswith("Error: ") and "\n" not in message, message
        return message

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index in range(3):
        pixels = np.full((20, 20, 3), 60 * index, "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("run")) / "model.keras"


def flip_bits(data):
    """Damages what a zip file has of weights, and not its table."""
    data = bytearray(data)
    generator = random.Random(0)
    for _ in range(20):
        data[generator.randrange(len(data) // 4, len(data) // 2)] ^= 1
    return bytes(data)


DAMAGE = {
    "empty": lambda data: b"",
    "text": lambda data: b"This is a note to myself.\n" * 9,
    "short": lambda data: data[: len(data) // 2],
    "flipped": flip_bits,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models(model, photos, tmp_path, run, damage):
    path = tmp_path / "model.keras"
    path.write_bytes(DAMAGE[damage](model.read_bytes()))
    np.save(tmp_path / "pictures.npy", np.zeros((2, 16, 16, 3), "uint8"))
    out = tmp_path / "out.npy"
    for arguments in (
        ("embed", photos, "--model", path, "--out", out),
        ("visualize", photos, "--model", path, "--out", tmp_path / "out.png"),
        ("report", tmp_path),
    ):
        assert str(path) in run(*arguments)
        assert not out.exists()


def test_models_with_damaged_parts(model, photos, tmp_path, run):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(model) as source:
        config = source.read("config.json")
    layers = b'"num_layers": '
    assert layers + b"1" in config
    for part, content in (
        # More than any memory holds.
        ("config.json", config.replace(layers, layers + b"9999999")),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("model.weights.h5", b"no weights"),
    ):
        with (
            zipfile.ZipFile(model) as source,
            zipfile.ZipFile(path, "w") as target,
        ):
            for name in source.namelist():
                own = name == part
                target.writestr(name, content if own else source.read(name))
        out = tmp_path / "out.npy"
        assert str(path) in run("embed", photos, "--model", path, "--out", out)


@pytest.mark.parametrize("damage", ["empty", "text", "short"])
def test_damaged_checkpoints(tmp_path, run, damage):
    path = tmp_path / "weights.pth"
    original = (REFERENCE / "capi_reference.pth").read_bytes()
    path.write_bytes(DAMAGE[damage](original))
    assert str(path) in run("convert", path, tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


@pytest.mark.parametrize("damage", ["empty", "text"])
def test_damaged_presets(photos, tmp_path, run, damage):
    (tmp_path / "config.json").write_bytes(DAMAGE[damage](b""))
    arguments = (photos, "--model", tmp_path, "--out", tmp_path / "out.npy")
    assert str(tmp_path) in run("embed", *arguments)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_pictures(model, tmp_path, run, damage):
    (tmp_path / "model.keras").write_bytes(model.read_bytes())
    path = tmp_path / "pictures.npy"
    np.save(path, np.zeros((20, 16, 16, 3), "uint8"))
    content = DAMAGE[damage](path.read_bytes())
    if damage == "flipped":
        np.save(path, np.zeros((2, 16)))
        content = path.read_bytes()
    path.write_bytes(content)
    assert str(path) in run("report", tmp_path)


@pytest.mark.parametrize("damage", ["empty", "text", "short"])
def test_damaged_shards(photos, tmp_path, run, damage):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        for image in sorted(photos.iterdir()):
            archive.add(image, image.name)
    # In the middle of a header.
    content = path.read_bytes()[: 2 * 1024 + 300]
    path.write_bytes(DAMAGE[damage](content))
    assert str(path) in run("pretrain", path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["empty", "text"])
def test_damaged_recipes(photos, tmp_path, run, damage):
    path = tmp_path / "mine.yaml"
    path.write_bytes(DAMAGE[damage](b""))
    arguments = (photos, "--recipe", path, "--out", tmp_path / "run")
    assert str(path) in run("pretrain", *arguments)


@pytest.mark.parametrize(
    ("command", "out", "message"),
    [
        ("embed", "file/features.npy", "in a folder"),
        ("embed", "folder.npy", "must be a file"),
        ("embed", "features.txt", "must end in"),
        ("visualize", "file/all.png", "in a folder"),
        ("visualize", "file", "must be a folder"),
        ("visualize", "folder.png", "must be a file"),
        ("evaluate", "file/scores.json", "in a folder"),
        ("evaluate", "folder.npy", "must be a file"),
        ("pretrain", "file", "must be a folder"),
        ("pretrain", "file/run", "in a folder"),
        ("report", "file/report.html", "in a folder"),
        ("convert", "file", "must be a folder"),
    ],
)
def test_where_to_write_is_checked_first(tmp_path, run, command, out, message):
    """Before what is wrong with the model and the images, too."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "model.keras").touch()
    (tmp_path / "pictures.npy").touch()
    out = tmp_path / out
    arguments = {
        "convert": ["missing.pth", out],
        "embed": ["missing", "--model", "missing", "--out", out],
        "evaluate": [
            *("--model", "missing", "--train", "missing", "--test", "missing"),
            *("--out", out),
        ],
        "pretrain": ["missing", "--out", out],
        "report": [tmp_path, "--out", out],
        "visualize": ["missing", "--model", "missing", "--out", out],
    }
    error = run(command, *arguments[command])
    assert message in error and str(out) in error


def test_folders_without_the_right_to_write(tmp_path, run, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    error = run("pretrain", "missing", "--out", tmp_path / "new" / "run")
    assert "without the right to write" in error


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("convert", ["missing.pth"]),
        ("embed", ["missing", "--model", "missing", "--out"]),
        ("evaluate", "--model a --train b --test c --out".split()),
        ("pretrain", ["missing", "--out"]),
        ("report", [".", "--out"]),
        ("visualize", ["missing", "--model", "missing", "--out"]),
    ],
)
def test_the_folder_of_the_user(tmp_path, run, monkeypatch, command, arguments):
    """Shells do not expand the `~` of `--out=~/file`."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("file", "model.keras", "pictures.npy"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    error = run(command, *arguments, "~/file/out.png")
    assert f"{tmp_path / 'file'} is a file" in error
