"""Checkpoints of SimMIM, whole or in part."""

import sys
import types

import keras
import numpy as np
import pytest
import torch
from convert.method_files import SIZES
from convert.method_files import mae_model
from convert.method_files import optimizer_state
from convert.method_files import saved
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.encoders import ViT
from keras_capi.encoders import resize_vit
from keras_capi.methods import MAE
from keras_capi.methods import SimMIM

ARGUMENTS = {
    "num_layers": 3,
    "positions": None,
    "relative_positions": "shared",
    "use_key_bias": False,
    "layer_scale": 0.1,
    **SIZES,
}
TABLE = "relative_position_bias_table"


def assert_close(value, name):
    expected = method_arrays("simmim")[name]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def images():
    return np.moveaxis(method_arrays("simmim")["images"], -3, -1)


def whole():
    return under("simmim", "weights/")


def encoder_alone():
    return {
        key.removeprefix("encoder."): value
        for key, value in whole().items()
        if not key.startswith("decoder") and "mask_token" not in key
    }


def fine_tuned():
    """Tables in the blocks, a norm behind pooling and a head."""
    state = encoder_alone()
    for name in (TABLE, "relative_position_index"):
        values = state.pop(f"rel_pos_bias.{name}")
        for index in range(3):
            state[f"blocks.{index}.attn.{name}"] = values.clone()
    del state["norm.weight"], state["norm.bias"]
    return {
        **state,
        **{
            f"fc_norm.{k}": v
            for k, v in under("simmim", "eval_finetune/fc_norm.").items()
        },
        "head.weight": torch.ones(5, 48),
        "head.bias": torch.zeros(5),
    }


@pytest.fixture
def training(monkeypatch):
    """What the authors' code stores, settings of their library included."""
    module = types.ModuleType("yacs.config")
    settings = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    module.CfgNode = settings
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    config = settings(DATA=settings(IMG_SIZE=32, MASK_RATIO=0.6))
    config.frozen = True
    return {
        "model": whole(),
        "optimizer": optimizer_state(),
        "lr_scheduler": {"base_values": [1e-4, 1e-4], "milestones": [700]},
        "max_accuracy": 0.0,
        "epoch": 799,
        "config": config,
        "amp": {"loss_scaler0": {"loss_scale": 65536.0, "unskipped": 3}},
    }


def wrapped(state):
    return {f"module.{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "content",
    [
        None,
        lambda: {"model": whole()},
        encoder_alone,
        lambda: {"state_dict": wrapped(whole())},
    ],
    ids=["training", "published", "encoder alone", "wrapped"],
)
def test_features(content, training, tmp_path):
    content = content() if content else training
    encoder = load_torch_checkpoint(saved(tmp_path, content))
    assert isinstance(encoder, ViT)
    assert ARGUMENTS.items() <= encoder.get_config().items()
    features = encoder(images())
    assert_close(features["global"], "eval/class_token")
    tokens = encoder.encode(*encoder.embed(images()))
    tokens = np.concatenate(
        [to_numpy(tokens["prefix"]), to_numpy(tokens["patches"])], axis=1
    )
    assert_close(tokens, "eval/tokens")


def mean_pooled(encoder, pictures):
    outputs = encoder.encode(*encoder.embed(pictures), normalize=False)
    norm = keras.layers.LayerNormalization(epsilon=1e-6)
    norm.build((None, 48))
    arrays = method_arrays("simmim")
    norm.gamma.assign(arrays["eval_finetune/fc_norm.weight"])
    norm.beta.assign(arrays["eval_finetune/fc_norm.bias"])
    return norm(np.mean(to_numpy(outputs["patches"]), axis=1))


def test_fine_tuned(tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, {"model": fine_tuned()}))
    assert encoder.get_config()["relative_positions"] == "per_block"
    np.testing.assert_array_equal(to_numpy(encoder.final_norm.gamma), 1.0)
    assert_close(mean_pooled(encoder, images()), "eval_finetune/mean_pooled")


def test_fine_tuning_at_another_size(tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, {"model": whole()}))
    encoder = resize_vit(encoder, (40, 40, 3), "per_block")
    name = "eval_finetune_other_size/"
    assert_close(encoder.positions.biases[1].table, name + TABLE)
    pictures = np.moveaxis(method_arrays("simmim")[name + "images"], -3, -1)
    assert_close(mean_pooled(encoder, pictures), name + "mean_pooled")


def test_learnt_positions(tmp_path):
    content = encoder_alone()
    for name in (TABLE, "relative_position_index"):
        del content[f"rel_pos_bias.{name}"]
    content["pos_embed"] = torch.ones(1, 65, 48)
    path = saved(tmp_path, content)
    encoder = load_torch_checkpoint(path, num_heads=3)
    config = encoder.get_config()
    assert (config["positions"], config["relative_positions"]) == (
        "learned",
        None,
    )
    with pytest.raises(ValueError, match=f"{path}.*`num_heads` must be given"):
        load_torch_checkpoint(path)


def test_grids_that_are_not_square(tmp_path):
    content = encoder_alone()
    content[f"rel_pos_bias.{TABLE}"] = torch.ones(7 * 13 + 3, 3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match="`image_shape` must be given.*91 of"):
        load_torch_checkpoint(path)
    encoder = load_torch_checkpoint(path, image_shape=(16, 28, 3))
    assert encoder.image_shape == (16, 28, 3)


@pytest.mark.parametrize("key", ["encoder.extra", "decoder.1.weight", "head.x"])
def test_keys_that_are_none(key, tmp_path):
    path = saved(tmp_path, {"model": {**whole(), key: torch.zeros(3)}})
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['"):
        load_torch_checkpoint(path)


@pytest.mark.parametrize("key", ["norm.bias", "blocks.1.attn.v_bias"])
def test_keys_that_are_missing(key, tmp_path):
    content = whole()
    del content[f"encoder.{key}"]
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match=rf"{path}.*\['{key}'\]"):
        load_torch_checkpoint(path)


def test_a_swin_transformer_is_refused(tmp_path):
    content = {"encoder.layers.0.blocks.0.norm1.weight": torch.ones(3)}
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match="Received: a Swin transformer"):
        load_torch_checkpoint(path)


def test_a_training_goes_on(training, tmp_path):
    model = SimMIM(ViT(**ARGUMENTS))
    load_torch_weights(model, saved(tmp_path, training))
    mask = method_arrays("simmim")["mask"].reshape(4, -1)
    inputs = {"images": images(), "mask": mask}
    losses = model.compute_losses(inputs, training=False)
    assert_close(losses["pixel_loss"], "loss")


def test_whole_models_need_all(tmp_path):
    model = SimMIM(ViT(**ARGUMENTS))
    path = saved(tmp_path, {"model": encoder_alone()})
    with pytest.raises(ValueError, match=f"{path}.*Missing: .*decoder.0"):
        load_torch_weights(model, path)
    with pytest.raises(ValueError, match="must be a `SimMIM`.*Received: MAE"):
        load_torch_weights(MAE(ViT(num_layers=1, **SIZES)), path)
    path = saved(tmp_path, {"model": mae_model()})
    with pytest.raises(ValueError, match="must be a `MAE`.*Received: SimMIM"):
        load_torch_weights(model, path)
