"""Checkpoints of DINOv2, whole or in part."""

import numpy as np
import pytest
import torch
from convert.method_files import optimizer_state
from convert.method_files import saved
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.encoders import ViT
from keras_capi.layers import DINOHead
from keras_capi.methods import DINO
from keras_capi.methods import DINOv2

SIZES = {"patch_size": 4, "num_layers": 2, "hidden_dim": 36, "num_heads": 3}


def published(part="teacher"):
    return under("dinov2", f"weights/{part}.backbone.")


def training():
    networks = {
        f"{part}.{key}": value
        for part in ("student", "teacher")
        for key, value in under("dinov2", f"weights/{part}.").items()
    }
    centers = under("dinov2", "weights/")
    return {
        "model": {
            **networks,
            "dino_loss.center": centers["dino_center"],
            "ibot_patch_loss.center": centers["ibot_center"],
        },
        "optimizer": optimizer_state(),
        "iteration": 1249,
    }


def in_chunks(state):
    """Blocks as trainings on many devices store them."""
    return {
        key.replace("blocks.0.", "blocks.0.0.").replace(
            "blocks.1.", "blocks.1.1."
        ): value
        for key, value in state.items()
    }


def make_method(**arguments):
    encoder = ViT(
        image_shape=(32, 32, 3),
        interpolation_offset=0.1,
        layer_scale=1e-5,
        **SIZES,
    )
    head = DINOHead(40, 3, 48, 24, trainable_gain=True)
    return DINOv2(
        encoder, head=head, **{"num_patch_prototypes": 44, **arguments}
    )


def views():
    crops = method_arrays("dinov2")["collated_global_crops"]
    return np.moveaxis(crops, 1, -1)


def assert_close(value, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


@pytest.mark.parametrize(
    "content",
    [
        published,
        lambda: in_chunks(published()),
        training,
        lambda: {"teacher": under("dinov2", "weights/teacher.")},
    ],
    ids=["published", "chunks", "training", "teacher"],
)
def test_encoders(content, tmp_path):
    path = saved(tmp_path, content())
    encoder = load_torch_checkpoint(path, num_heads=3)
    expected = {**SIZES, "mlp_dim": 144, "activation": "gelu"}
    expected |= {"layer_scale": 1e-5, "num_register_tokens": 0}
    expected |= {"interpolation_offset": 0.1, "interpolation_antialias": False}
    assert expected.items() <= encoder.get_config().items()
    tokens = method_arrays("dinov2")["teacher_global/x_norm_clstoken"]
    assert_close(encoder(views())["global"], tokens)


def test_registers_and_gates(tmp_path):
    content = published()
    generator = np.random.default_rng(0)

    def random(*shape):
        return torch.tensor(generator.normal(size=shape).astype("float32"))

    for block in ("blocks.0.mlp.", "blocks.1.mlp."):
        for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
            del content[block + name]
        content[f"{block}w12.weight"] = random(192, 36)
        content[f"{block}w12.bias"] = random(192)
        content[f"{block}w3.weight"] = random(36, 96)
        content[f"{block}w3.bias"] = random(36)
    content["register_tokens"] = random(1, 4, 36)
    path = saved(tmp_path, content)
    encoder = load_torch_checkpoint(path, num_heads=3)
    assert (encoder.mlp_dim, encoder.num_prefix_tokens) == (96, 5)
    block = encoder.blocks[0]
    assert block.activation == "swiglu"
    # The gate comes first.
    kernel = content["blocks.0.mlp.w12.weight"].numpy().T
    np.testing.assert_array_equal(to_numpy(block.mlp_hidden.kernel), kernel)
    registers = to_numpy(encoder.prefix_tokens.registers)
    np.testing.assert_array_equal(registers, content["register_tokens"][0])
    assert encoder(views())["feature_map"].shape == (8, 8, 8, 36)


@pytest.mark.parametrize("patches", [64, 37 * 37])
@pytest.mark.parametrize("registers", [0, 4])
def test_positions_are_resampled_as_published(patches, registers, tmp_path):
    content = published()
    content["pos_embed"] = torch.zeros(1, 1 + patches, 36)
    if registers:
        content["register_tokens"] = torch.zeros(1, registers, 36)
    path = saved(tmp_path, content)
    # The published ones with registers have other positions than those without.
    antialias = bool(registers and patches == 37 * 37)
    expected = {
        "interpolation_offset": 0.0 if antialias else 0.1,
        "interpolation_antialias": antialias,
    }
    encoder = load_torch_checkpoint(path, num_heads=3)
    assert expected.items() <= encoder.get_config().items()
    encoder = load_torch_checkpoint(
        path, num_heads=3, interpolation_antialias=not antialias
    )
    expected["interpolation_antialias"] = not antialias
    assert expected.items() <= encoder.get_config().items()


@pytest.mark.parametrize("centering", ["sinkhorn", "softmax"])
def test_a_training_goes_on(centering, tmp_path):
    path = saved(tmp_path, training())
    method = make_method(centering=centering)
    load_torch_weights(method, path)
    arrays = method_arrays("dinov2")
    if centering == "softmax":
        center = arrays["weights/ibot_center"][0, 0]
        assert_close(method.patch_centering.center, center)
    direction = to_numpy(method.teacher_patch_head.prototypes.direction)
    expected = arrays["weights/teacher.ibot_head.last_layer.weight_v"]
    np.testing.assert_array_equal(direction.T, expected)
    token = arrays["weights/student.backbone.mask_token"]
    assert_close(method.mask_token.token, token)
    assert_close(
        method.encoder(views())["global"],
        arrays["teacher_global/x_norm_clstoken"],
    )


def test_keys_that_are_none(tmp_path):
    content = training()
    content["model"]["teacher.backbone.extra"] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=r"Unexpected: \['\S*extra'\]"):
        load_torch_checkpoint(path, num_heads=3)
    with pytest.raises(ValueError, match=r"Unexpected: \['\S*extra'\]"):
        load_torch_weights(make_method(), path)
    with pytest.raises(ValueError, match=r"Missing: \[\]. Unexpected.*ibot"):
        load_torch_weights(make_method(num_patch_prototypes=None), path)


def test_of_another_method(tmp_path):
    path = saved(tmp_path, training())
    head = DINOHead(40, 1, bottleneck_dim=32)
    method = DINO(ViT(image_shape=(32, 32, 3), **SIZES), head=head)
    with pytest.raises(ValueError, match=f"must be a `DINOv2`.*{path}.*DINO"):
        load_torch_weights(method, path)
