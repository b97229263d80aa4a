"""Features as the authors of the methods take them."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.encoders import ViT
from keras_capi.optimizers import LARS
from keras_capi.optimizers import Group
from keras_capi.tasks import FeatureExtractor
from keras_capi.tasks import ImageClassifier

SIZES = {
    "patch_size": 4,
    "hidden_dim": 48,
    "num_heads": 3,
    "image_shape": (32, 32, 3),
}


def make_published_vit(arrays, prefix, **arguments):
    vit = ViT(**SIZES, **arguments)
    tensors = {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix) and "decoder" not in key
    }
    tensors.pop("mask_token", None)
    for variable, array in pair_entries(vit_entries(vit), tensors):
        variable.assign(array)
    return vit


def read_classified(classifier, images):
    """What a classifier classifies, by a head that changes nothing."""
    width = classifier.classifier.kernel.shape[0]
    classifier.classifier.kernel.assign(np.eye(width))
    return to_numpy(classifier(images))


def normalize(tokens, scale, offset):
    tokens = tokens - tokens.mean(-1, keepdims=True)
    return (
        tokens / np.sqrt(tokens.var(-1, keepdims=True) + 1e-6) * (scale)
        + offset
    )


@pytest.fixture(scope="module")
def mae():
    arrays = method_arrays("mae")
    vit = make_published_vit(arrays, "weights/", num_layers=3, positions="sine")
    return arrays, np.moveaxis(arrays["images"], 1, -1), vit


def test_mae_fine_tuned(mae):
    arrays, images, vit = mae
    classifier = ImageClassifier(vit, 48, "average_before_norm")
    classifier.head_norm.gamma.assign(arrays["eval/fc_norm.weight"])
    classifier.head_norm.beta.assign(arrays["eval/fc_norm.bias"])
    pooled = read_classified(classifier, images)
    np.testing.assert_allclose(pooled, arrays["eval/global_pool"], atol=2e-5)
    assert not vit.final_norm.trainable
    # The next head has a use for it.
    ImageClassifier(vit, 48)
    assert vit.final_norm.trainable


def test_mae_probed(mae):
    arrays, images, vit = mae
    probe = ImageClassifier(
        vit, 48, freeze_backbone=True, batch_normalization=True
    )
    assert len(probe.trainable_weights) == 2
    pooled = read_classified(probe, images)
    tokens = arrays["eval/class_token"]
    np.testing.assert_allclose(
        pooled, tokens / np.sqrt(1 + 1e-6), rtol=1e-5, atol=2e-5
    )
    probe.compile("sgd", "mse")
    normalized = to_numpy(probe(images, training=True))
    expected = (tokens - tokens.mean(0)) / np.sqrt(tokens.var(0) + 1e-6)
    np.testing.assert_allclose(normalized, expected, atol=1e-4)


def test_mae_probe_trained(mae):
    """With LARS, which scales the steps of the kernel, not of the bias."""
    arrays, images, vit = mae
    probe = ImageClassifier(
        vit, 3, freeze_backbone=True, batch_normalization=True
    )
    tokens = arrays["eval/class_token"].astype("float64")
    tokens = (tokens - tokens.mean(0)) / np.sqrt(tokens.var(0) + 1e-6)
    kernel, bias = (to_numpy(x) for x in probe.classifier.weights)
    labels = np.arange(len(tokens)) % 3
    moments = [0.0, 0.0]
    for _ in range(5):
        logits = tokens @ kernel + bias
        error = np.exp(logits - logits.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        error = (error - np.eye(3)[labels]) / len(tokens)
        step = tokens.T @ error
        step *= 0.001 * np.linalg.norm(kernel) / np.linalg.norm(step)
        moments = [
            0.9 * moment + part
            for moment, part in zip(moments, (step, error.sum(0)), strict=True)
        ]
        kernel, bias = kernel - 0.5 * moments[0], bias - 0.5 * moments[1]
    no_decay = Group(weight_decay_multiplier=0.0)
    probe.compile(
        LARS(0.5, weight_decay=0.0, groups={"vectors": no_decay}),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    probe.fit(images, labels, batch_size=len(images), epochs=5, verbose=0)
    for weight, expected in zip(
        probe.classifier.weights, (kernel, bias), strict=True
    ):
        np.testing.assert_allclose(to_numpy(weight), expected, atol=2e-5)
    assert np.abs(bias).max() > 1e-2


@pytest.mark.parametrize("name", ["class tokens", "token and mean"])
def test_dino_probed(name):
    arrays = method_arrays("dino")
    prefix = "weights/teacher.backbone."
    vit = make_published_vit(
        arrays, prefix, num_layers=2, interpolation_offset=0.1
    )
    blocks = [
        normalize(
            arrays[f"teacher_global/block_{index}"],
            arrays[f"{prefix}norm.weight"],
            arrays[f"{prefix}norm.bias"],
        )
        for index in range(2)
    ]
    if name == "class tokens":
        pooling = ("layer_1_global", "layer_2_global")
        expected = [tokens[:, 0] for tokens in blocks]
    else:
        pooling = ("global", "average")
        expected = [blocks[1][:, 0], blocks[1][:, 1:].mean(axis=1)]
    views = arrays["global_views"]
    images = np.moveaxis(views.reshape(-1, *views.shape[2:]), 1, -1)
    probe = ImageClassifier(vit, 96, pooling, freeze_backbone=True)
    np.testing.assert_allclose(
        read_classified(probe, images),
        np.concatenate(expected, axis=-1),
        atol=5e-5,
    )
    features = FeatureExtractor(vit, pooling).predict(images, verbose=0)
    for name, values in zip(pooling, expected, strict=True):
        np.testing.assert_allclose(features[name], values, atol=5e-5)


MAKERS = {
    "capi": make_backbone,
    "vit": make_vit,
    "registers": lambda **arguments: make_vit(
        class_token=False, num_register_tokens=2, **arguments
    ),
    "padded": lambda **arguments: make_vit(pad=True, **arguments),
}


@pytest.mark.parametrize("name", MAKERS)
def test_features_of_any_encoder(name):
    encoder = MAKERS[name](num_layers=2)
    images = make_images(2, 16, 14 if name == "padded" else 16)
    features = ("global", "prefix", "average", "layer_1", "layer_1_average")
    extractor = FeatureExtractor(encoder, (*features, "layer_2_global"))
    outputs = extractor.predict(images, verbose=0)
    spec = extractor.compute_output_spec(keras.KerasTensor(images.shape))
    for feature, values in outputs.items():
        assert values.shape == spec[feature].shape
    expected = {
        key: to_numpy(value)
        for key, value in encoder(images, layers=(1,)).items()
    }
    expected["prefix"] = expected[encoder.prefix_name]
    expected["layer_2_global"] = expected["global"]
    for key in ("feature_map", "layer_1"):
        name = "average" if key == "feature_map" else "layer_1_average"
        expected[name] = expected[key].mean(axis=(1, 2))
    for feature, values in outputs.items():
        np.testing.assert_allclose(values, expected[feature], atol=1e-5)


def test_no_such_features():
    vit = make_vit(num_layers=2)
    for name in ("registers", "layer_0", "layer_1_map", "attention", 3):
        with pytest.raises(ValueError, match="must be names among.*'prefix'"):
            FeatureExtractor(vit, ("global", name))
    with pytest.raises(ValueError, match="from 1 .*num_layers=2"):
        FeatureExtractor(vit, "layer_3")
    for pooling in ((), "prefix", ("global", "attention"), "layer_1"):
        with pytest.raises(ValueError, match="`pooling` must be one of"):
            ImageClassifier(vit, 2, pooling)


def test_blocks_that_no_head_uses():
    model = ImageClassifier(make_vit(num_layers=2), 2, "layer_1_global")
    with pytest.raises(ValueError, match="take the last block.*1 of 2"):
        model.compile("sgd", "mse")
    model.freeze_backbone = True
    model.compile("sgd", "mse")
