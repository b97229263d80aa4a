"""The short examples, run as a user does, in a small setting."""

import os
import pathlib
import re
import subprocess
import sys

import h5py
import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
BACKEND = keras.backend.backend()


def run(script, folder, *arguments):
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": BACKEND, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_extract_features(tmp_path):
    output = run("extract_features.py", tmp_path, "--image-size", 56)
    assert "chelsea" in output
    with h5py.File(tmp_path / "features.h5") as file:
        assert file["global"].shape == (10, 384)
        assert file["feature_map"].shape == (10, 4, 4, 384)


def test_finetune_classifier(tmp_path):
    output = run(
        *("finetune_classifier.py", tmp_path, "--labels", 50),
        *("--pretraining-epochs", 2, "--epochs", 25),
    )
    accuracies = re.search(r"(0\.\d+) pretrained, (0\.\d+) from", output)
    assert float(accuracies[1]) > 0.2
    assert float(accuracies[2]) > 0.2
    assert (tmp_path / "classifier.keras").exists()


@pytest.mark.skipif(BACKEND == "jax", reason="Keras has no ONNX there for us")
def test_export_onnx(tmp_path):
    output = run("export_onnx.py", tmp_path, "--image-size", 56)
    assert "feature_map: shape (1, 4, 4, 384)" in output
    assert (tmp_path / "capi.onnx").exists()
