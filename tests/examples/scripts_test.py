"""The short examples, run as a user does, in a small setting."""

import re

import h5py
import keras
import pytest
from examples.run_example import run_example


def test_extract_features(tmp_path):
    output = run_example(
        "extract_features.py", tmp_path, "--image-size", 56
    ).stdout
    assert "chelsea" in output
    with h5py.File(tmp_path / "features.h5") as file:
        assert file["global"].shape == (10, 384)
        assert file["feature_map"].shape == (10, 4, 4, 384)


def test_finetune_classifier(tmp_path):
    output = run_example(
        *("finetune_classifier.py", tmp_path, "--labels", 50),
        *("--pretraining-epochs", 2, "--epochs", 25),
    ).stdout
    accuracies = re.search(r"(0\.\d+) pretrained, (0\.\d+) from", output)
    assert float(accuracies[1]) > 0.2
    assert float(accuracies[2]) > 0.2
    assert (tmp_path / "classifier.keras").exists()


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras has no ONNX there for us"
)
def test_export_onnx(tmp_path):
    output = run_example("export_onnx.py", tmp_path, "--image-size", 56).stdout
    assert "feature_map: shape (1, 4, 4, 384)" in output
    assert (tmp_path / "capi.onnx").exists()
