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
    "jax": [("tf_saved_model", "dynamic batch and size")],
    "torch": [
        ("torch", "dynamic batch and size"),
        ("onnx", "fixed"),
        ("onnx", "dynamic batch"),
    ],
}


@pytest.mark.filterwarnings("ignore")  # Converters warn of their own parts.
@pytest.mark.parametrize(
    ("export_format", "signature"), CASES[keras.backend.backend()]
)
def test_exported_features(export_format, signature):
    assert check(export_format, signature) < 1e-4


def make_standard_model():
    """A model of other sizes than its table of positions is for."""
    encoder = keras_capi.encoders.ViT(
        14, 1, 32, 2, image_shape=(28, 28, 3), interpolation_offset=0.1
    )
    images = keras.Input((None, None, 3))
    features = encoder(images)
    outputs = {name: features[name] for name in ("global", "feature_map")}
    return keras.Model(images, outputs)


@pytest.mark.filterwarnings("ignore")
def test_exported_standard_encoder():
    export_format, signature = CASES[keras.backend.backend()][0]
    assert check(export_format, signature, make_standard_model) < 1e-4


def make_backbone():
    return keras_capi.models.CAPIBackbone(
        patch_size=4,
        num_layers=4,
        predictor_num_layers=1,
        hidden_dim=64,
        num_heads=2,
    )


# Keras warns of each layer that has no eight-bit form, such as norms.
ignore_layers_without_form = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize`"
)


@ignore_layers_without_form
@pytest.mark.usefixtures("few_to_collect")
def test_quantization_to_eight_bits():
    backbone = make_backbone()
    images = make_images(4, 16, 16)
    expected = {k: to_numpy(v) for k, v in backbone(images).items()}
    backbone.quantize("int8")
    kernel = backbone.encoder.blocks[0].mlp_hidden.kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == "int8"
    for name, value in backbone(images).items():
        error = np.linalg.norm(to_numpy(value) - expected[name])
        assert 0 < error / np.linalg.norm(expected[name]) < 0.04


@ignore_layers_without_form
@pytest.mark.usefixtures("few_to_collect")
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_backbone_is_saved_and_loaded(mode, tmp_path):
    backbone = make_backbone()
    backbone.quantize(mode)
    images = make_images(2, 16, 16)
    expected = to_numpy(backbone(images)["global"])

    backbone.save(tmp_path / "backbone.keras")
    backbone.save_to_preset(tmp_path / "preset")
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    quantized = make_backbone()
    quantized.quantize(mode)
    quantized.load_weights(tmp_path / "backbone.weights.h5")
    for loaded in (
        keras.saving.load_model(tmp_path / "backbone.keras"),
        keras_capi.models.CAPIBackbone.from_preset(tmp_path / "preset"),
        quantized,
    ):
        kernel = loaded.encoder.blocks[0].mlp_hidden.kernel
        assert keras.backend.standardize_dtype(kernel.dtype) == "int8"
        np.testing.assert_array_equal(
            to_numpy(loaded(images)["global"]), expected
        )


@ignore_layers_without_form
@pytest.mark.usefixtures("few_to_collect")
@pytest.mark.parametrize("name", ["CAPIClassifier", "CAPISegmenter"])
def test_quantized_head_is_saved_and_loaded(name, tmp_path):
    model = getattr(keras_capi.models, name)(make_backbone(), num_classes=3)
    model.quantize("int8")
    images = make_images(2, 16, 16)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.classifier.quantization_mode == "int8"
    np.testing.assert_array_equal(
        to_numpy(loaded(images)), to_numpy(model(images))
    )
