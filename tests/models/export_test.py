"""Exported files run outside Keras and compute the same.

What works where is in docs/export.md; benchmarks/export.py tries everything.
"""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

import keras_capi
from benchmarks.export import check

CASES = {
    "tensorflow": [
        ("tf_saved_model", "dynamic batch and size"),
        ("litert", "dynamic batch and size"),
        ("onnx", "dynamic batch"),
    ],
    "jax": [("tf_saved_model", "dynamic batch")],
    "torch": [("torch", "dynamic batch and size"), ("onnx", "fixed")],
}


@pytest.mark.filterwarnings("ignore")  # Converters warn of their own parts.
@pytest.mark.parametrize(
    ("export_format", "signature"), CASES[keras.backend.backend()]
)
def test_exported_features(export_format, signature):
    assert check(export_format, signature) < 1e-4


# Keras warns of each layer that has no eight-bit form, such as norms.
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_quantization_to_eight_bits():
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=4,
        num_layers=4,
        predictor_num_layers=1,
        hidden_dim=64,
        num_heads=2,
    )
    images = make_images(4, 16, 16)
    expected = {k: to_numpy(v) for k, v in backbone(images).items()}
    backbone.quantize("int8")
    kernel = backbone.encoder.blocks[0].mlp_hidden.kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == "int8"
    for name, value in backbone(images).items():
        error = np.linalg.norm(to_numpy(value) - expected[name])
        assert 0 < error / np.linalg.norm(expected[name]) < 0.04
