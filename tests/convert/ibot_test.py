"""Checkpoints of iBOT, whole or in part."""

import numpy as np
import pytest
import torch
from convert.method_files import SIZES
from convert.method_files import optimizer_state
from convert.method_files import saved
from convert.method_files import training_settings
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.encoders import ViT
from keras_capi.layers import DINOHead
from keras_capi.methods import DINO
from keras_capi.methods import IBOT


def training(name="ibot"):
    centers = under(name, "weights/")
    return {
        "student": {
            f"module.{key}": value
            for key, value in under(name, "weights/student.").items()
        },
        "teacher": under(name, "weights/teacher."),
        "ibot_loss": {key: centers[key] for key in ("center", "center2")},
        "optimizer": optimizer_state(),
        "epoch": 800,
        "args": training_settings(),
        "fp16_scaler": {"scale": 65536.0, "_growth_tracker": 3},
    }


def make_method(encoder=None, num_prototypes=48, **arguments):
    return IBOT(
        encoder or ViT(num_layers=2, interpolation_offset=0.1, **SIZES),
        head=DINOHead(num_prototypes, hidden_dim=64, bottleneck_dim=16),
        **arguments,
    )


def assert_close(value, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


@pytest.mark.parametrize(
    "content, part",
    [
        (lambda: under("ibot", "weights/teacher.backbone."), "teacher"),
        (training, "teacher"),
        (training, "student"),
        (lambda: under("ibot", "weights/student.backbone."), "student"),
    ],
    ids=["published", "training", "student", "student alone"],
)
def test_encoders(content, part, tmp_path):
    path = saved(tmp_path, content())
    encoder = load_torch_checkpoint(path, part=part, num_heads=3)
    assert encoder.get_config()["interpolation_offset"] == 0.1
    state = under("ibot", f"weights/{part}.backbone.")
    kernel = encoder.blocks[1].mlp_hidden.kernel
    expected = state["blocks.1.mlp.fc1.weight"].numpy().T
    np.testing.assert_array_equal(to_numpy(kernel), expected)
    if part == "teacher":
        arrays = method_arrays("ibot")
        images = np.moveaxis(arrays["images_other_size"], 1, -1)
        last = arrays["eval_other_size/normed_1_of_last_2"]
        features = encoder(images)
        assert_close(features["global"], last[:, 0])
        assert_close(features["feature_map"], last[:, 1:].reshape(2, 10, 7, 48))


def test_a_training_goes_on(tmp_path):
    path = saved(tmp_path, training())
    method = make_method(load_torch_checkpoint(path, num_heads=3))
    load_torch_weights(method, path)
    arrays = method_arrays("ibot")
    assert_close(method.centering.center, arrays["weights/center"][0])
    assert_close(method.patch_centering.center, arrays["weights/center2"][0, 0])
    token = arrays["weights/student.backbone.masked_embed"]
    assert_close(method.mask_token.token, token)


def test_prototypes_that_are_not_shared(tmp_path):
    content = training()
    name = "module.head.last_layer2.weight_v"
    content["student"][name] = content["student"][name] + 0.1
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*`num_patch_prototypes`"):
        load_torch_weights(make_method(), path)
    method = make_method(num_patch_prototypes=48)
    load_torch_weights(method, path)
    direction = to_numpy(method.patch_prototypes.direction)
    np.testing.assert_array_equal(direction.T, content["student"][name])


def test_keys_that_are_none(tmp_path):
    content = training()
    content["ibot_loss"]["center3"] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=r"Unexpected: \['\S*center3'\]"):
        load_torch_checkpoint(path, num_heads=3)
    with pytest.raises(ValueError, match=r"Unexpected: \['\S*center3'\]"):
        load_torch_weights(make_method(), path)


def test_of_another_method(tmp_path):
    path = saved(tmp_path, training())
    encoder = ViT(num_layers=1, **SIZES)
    method = DINO(encoder, head=DINOHead(48, 1, bottleneck_dim=32))
    with pytest.raises(ValueError, match=f"must be a `IBOT`.*{path}.*DINO"):
        load_torch_weights(method, path)
