"""The command line, as a user calls it."""

import io
import os
import shutil
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
from cli.run_command import run_command as run
from cli.run_command import save_run
from conftest import REFERENCE
from helpers import make_model
from PIL import Image

import keras_capi
from keras_capi.cli.main import main

pytestmark = pytest.mark.usefixtures("untraced")

CHECKPOINT = str(REFERENCE / "capi_reference.pth")


@pytest.fixture
def preset(tmp_path):
    result = run("convert", CHECKPOINT, tmp_path / "preset")
    assert result.exit_code == 0, result.output
    assert "from_preset" in result.output
    return tmp_path / "preset"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        pixels = generator.integers(0, 256, (40, 50, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_report(tmp_path):
    make_model().save(tmp_path / "model.keras")
    result = run("report", tmp_path)
    assert "must contain pictures.npy" in str(result.exception)
    pictures = np.random.default_rng(0).integers(0, 256, (9, 16, 24, 3))
    np.save(tmp_path / "pictures.npy", pictures.astype("uint8"))
    (tmp_path / "history.csv").write_text("epoch,capi_loss\n0,2.5\n1,2.0\n")
    assert run("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Training</h2>" in page
    assert "training steps" not in page
    assert run("report", tmp_path, "--out", tmp_path / "a.html").exit_code == 0
    assert (tmp_path / "a.html").is_file()


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((2, 16, 16, 1), "uint8"),
        np.zeros((2, 16, 16, 13), "uint8"),
        np.zeros((2, 16, 16, 3), "float32"),
        np.zeros((16, 16, 3), "uint8"),
    ],
    ids=lambda pictures: f"{pictures.shape}, {pictures.dtype}",
)
def test_a_report_of_other_pictures_is_refused(pictures, tmp_path):
    make_model().save(tmp_path / "model.keras")
    np.save(tmp_path / "pictures.npy", pictures)
    message = str(run("report", tmp_path).exception)
    assert "`keras_capi.visualization.write_report` takes" in message
    assert f"shape {pictures.shape}, dtype {pictures.dtype}" in message


def test_a_report_says_how_it_was_trained(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3))
    np.save(tmp_path / "pictures.npy", pictures.astype("uint8"))
    model = make_model()
    model.fit(pictures / 255.0, batch_size=3, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    (tmp_path / "history.csv").write_text("epoch,capi_loss\n0,2.5\n1,2.0\n")
    (tmp_path / "recipe.yaml").write_text("training:\n  precision: float32\n")
    assert run("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "<dt>training steps</dt><dd>6</dd>" in page
    assert ">step</text>" in page
    assert "<td>float32</td>" in page


def test_embed_images_of_twelve_bits(tmp_path):
    """They have the features of the same image in eight bits."""
    model = save_run(tmp_path) / "model.keras"
    recipe = tmp_path / "recipe.yaml"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), "uint16")
    features = []
    for name, image, trained, options in (
        ("eight", pixels.astype("uint8"), "null", ()),
        ("twelve", 16 * pixels, "null", ("--white-level", 4095)),
        ("run", 16 * pixels, 4095, ()),
    ):
        recipe.write_text(f"data: {{white_level: {trained}}}")
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        out = tmp_path / f"{name}.npy"
        result = run(
            *("embed", tmp_path / f"{name}.png", "--model", model),
            *("--out", out, *options),
        )
        assert result.exit_code == 0, result.output
        features.append(np.load(out))
    np.testing.assert_array_equal(features[0], features[1])
    np.testing.assert_array_equal(features[0], features[2])


def test_convert_and_embed(preset, photos, tmp_path):
    output = tmp_path / "features.h5"
    another = tmp_path / "another.png"
    shutil.copy(photos / "a.png", another)
    result = run(
        *("embed", photos, another, "--preset", preset),
        *("--out", output, "--features", "global,feature_map"),
        *("--image-size", 32),
    )
    assert result.exit_code == 0, result.output
    assert "3 images" in result.output
    backbone = keras_capi.convert.load_torch_checkpoint(CHECKPOINT)
    _, expected = keras_capi.features.extract_features(
        backbone, photos, ("global", "feature_map"), image_size=32, verbose=0
    )
    with h5py.File(output) as file:
        names = [photos / "a.png", photos / "b.jpg", another]
        assert list(file["names"].asstr()) == [str(name) for name in names]
        assert file["feature_map"].shape == (3, 8, 8, 48)
        np.testing.assert_allclose(
            file["global"][:2], expected["global"], atol=1e-6
        )


@pytest.mark.filterwarnings("ignore:Skipped:UserWarning")
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_rows_without_names_are_told(
    preset, photos, tmp_path, suffix, is_damaged
):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"not an image")
    result = run(
        *("embed", photos, *([damaged] if is_damaged else []), "--preset"),
        *(preset, "--out", tmp_path / f"features{suffix}"),
        *("--image-size", 32),
    )
    assert result.exit_code == 0, result.output
    assert "2 images" in result.output
    is_told = "which row is which image" in result.output
    assert is_told == (is_damaged and suffix == ".npy")


def test_a_training_keeps_what_it_compiles(monkeypatch, tmp_path):
    folders = []
    monkeypatch.setattr(keras_capi.backend, "keep_compiled", folders.append)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    run("pretrain", "missing", "--out", tmp_path / "run")
    assert folders == [tmp_path / "keras_capi" / "compiled"]


def test_presets_and_version():
    assert "capi_vit_large_patch14_lvd142m" in run("presets").output
    assert run("--version").output.strip() == keras_capi.__version__


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "missing.pth", "folder"),
        ("embed", "missing", "--preset", "missing", "--out", "features.h5"),
    ],
    ids=str,
)
def test_errors_are_one_line(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras-capi", *arguments])
    with pytest.raises(SystemExit) as error:
        main()
    assert str(error.value).startswith("Error: ")
    assert "missing" in str(error.value)


def test_help_tells_every_option():
    result = run("embed", "--help")
    assert result.exit_code == 0
    for option in ("--preset", "--out", "--features", "--image-size"):
        assert option in result.output
    assert run("embed").exit_code != 0


def run_process(*arguments):
    """Runs the command in a process that takes this one's backend."""
    return subprocess.run(
        [sys.executable, "-m", "keras_capi", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(REFERENCE.parents[1]),
            "KERAS_BACKEND": keras.backend.backend(),
        },
        check=False,
        capture_output=True,
        text=True,
    )


def test_backend_option(preset, photos, tmp_path):
    """It counts in a process that was to take another."""
    others = {"jax", "tensorflow", "torch"} - {keras.backend.backend()}
    output = tmp_path / "features.npy"
    result = run_process(
        *("--backend", max(others), "embed", photos, "--preset", preset),
        *("--out", output, "--image-size", "32"),
    )
    assert result.returncode == 0, result.stderr
    assert np.load(output).shape == (2, 48)


def test_exit_code_of_errors():
    result = run_process("convert", "missing.pth", "folder")
    assert result.returncode == 1
    assert "missing.pth" in result.stderr


def test_names_that_the_terminal_cannot_show(preset, photos, monkeypatch):
    """They do not make an error of what was done."""
    out = photos / "größe.npy"
    arguments = ("embed", photos, "--preset", preset, "--out", out)
    arguments = ("keras-capi", *arguments, "--image-size", 32)
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "ascii"))
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdout.flush()
    assert not end.value.code
    assert np.load(out).shape == (2, 48)
    assert b"gr\\xf6\\xdfe.npy" in shown.getvalue()
