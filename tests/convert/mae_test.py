"""Checkpoints of MAE, whole or in part."""

import keras
import numpy as np
import pytest
import torch
from convert.method_files import SIZES
from convert.method_files import mae_encoder
from convert.method_files import mae_fine_tuned
from convert.method_files import mae_model
from convert.method_files import mae_training
from convert.method_files import saved
from helpers import method_arrays
from helpers import to_numpy
from keras import ops

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.decoders import MaskTokenDecoder
from keras_capi.encoders import ViT
from keras_capi.methods import DINO
from keras_capi.methods import MAE


def assert_close(value, name):
    expected = method_arrays("mae")[name]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def images(name="images"):
    return np.moveaxis(method_arrays("mae")[name], -3, -1)


def make_method(positions="sine"):
    encoder = ViT(num_layers=3, positions=positions, **SIZES)
    decoder = MaskTokenDecoder(
        48, 48, (8, 8), num_layers=2, hidden_dim=32, num_heads=4
    )
    return MAE(encoder, decoder=decoder)


def wrapped(state):
    return {f"_orig_mod.module.encoder.{k}": v for k, v in state.items()}


@pytest.mark.parametrize(
    "content",
    [
        lambda: {"model": mae_encoder()},
        lambda: {"model": mae_model()},
        mae_training,
        mae_encoder,
        lambda: {"state_dict": wrapped(mae_encoder())},
        lambda: {"state_dict": {"model": wrapped(mae_model())}},
    ],
    ids=["published", "with decoder", "training", "bare", "wrapped", "twice"],
)
def test_features(content, tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, content()), num_heads=3)
    assert isinstance(encoder, ViT)
    config = encoder.get_config()
    expected = {**SIZES, "num_layers": 3, "mlp_dim": 192, "positions": "sine"}
    assert {**expected, "interpolation_offset": 0.0}.items() <= config.items()
    features = encoder(images())
    assert_close(features["global"], "eval/class_token")
    tokens = ops.concatenate(
        [features["prefix"], ops.reshape(features["feature_map"], (4, -1, 48))],
        axis=1,
    )
    assert_close(tokens, "eval/tokens")
    other = encoder(images("images_other_size"))
    tokens = method_arrays("mae")["eval_other_size/tokens"]
    np.testing.assert_allclose(
        to_numpy(other["global"]), tokens[:, 0], rtol=0, atol=2e-4
    )


def test_fine_tuned(tmp_path):
    content = mae_fine_tuned()
    encoder = load_torch_checkpoint(
        saved(tmp_path, {"model": content}), num_heads=3
    )
    assert encoder.get_config()["positions"] == "learned"
    np.testing.assert_array_equal(
        to_numpy(encoder.positions.table.table), content["pos_embed"][0]
    )
    np.testing.assert_array_equal(to_numpy(encoder.final_norm.gamma), 1.0)
    # With the positions that the arrays are of.
    encoder.positions.table.table.assign(mae_encoder()["pos_embed"][0].numpy())
    outputs = encoder.encode(*encoder.embed(images()), normalize=False)
    pooled = ops.mean(outputs["patches"], axis=1)
    norm = keras.layers.LayerNormalization(epsilon=1e-6)
    norm.build((None, 48))
    norm.gamma.assign(content["fc_norm.weight"].numpy())
    norm.beta.assign(content["fc_norm.bias"].numpy())
    assert_close(norm(pooled), "eval/global_pool")


def test_a_linear_classifier_is_left_out(tmp_path):
    content = {
        **mae_encoder(),
        "head.0.running_mean": torch.zeros(48),
        "head.0.running_var": torch.ones(48),
        "head.0.num_batches_tracked": torch.tensor(3),
        "head.1.weight": torch.ones(5, 48),
        "head.1.bias": torch.zeros(5),
    }
    encoder = load_torch_checkpoint(saved(tmp_path, content), num_heads=3)
    assert_close(encoder(images())["global"], "eval/class_token")


def test_fine_tuned_with_class_token(tmp_path):
    content = mae_encoder()
    content["pos_embed"] = content["pos_embed"] + 0.1
    head = {"head.weight": torch.ones(5, 48), "head.bias": torch.zeros(5)}
    encoder = load_torch_checkpoint(
        saved(tmp_path, {"model": {**content, **head}}), num_heads=3
    )
    expected = {"positions": "learned", "interpolation_offset": 0.0}
    assert expected.items() <= encoder.get_config().items()
    np.testing.assert_array_equal(
        to_numpy(encoder.positions.table.table), content["pos_embed"][0]
    )
    # With the positions that the arrays are of.
    encoder.positions.table.table.assign(mae_encoder()["pos_embed"][0].numpy())
    assert_close(encoder(images())["global"], "eval/class_token")


def test_overrides(tmp_path):
    path = saved(tmp_path, {"model": mae_encoder()})
    encoder = load_torch_checkpoint(
        path, num_heads=3, drop_path_rate=0.1, lora_rank=2
    )
    assert encoder.get_config()["drop_path_rate"] == 0.1
    assert encoder.get_config()["lora_rank"] == 2
    assert_close(encoder(images())["global"], "eval/class_token")
    with pytest.raises(ValueError, match=f"{path}.*`num_heads` must be given"):
        load_torch_checkpoint(path)
    with pytest.raises(ValueError, match=f"{path}.*pos_embed.*shape"):
        load_torch_checkpoint(path, num_heads=3, image_shape=(32, 36, 3))


def test_grids_that_are_not_square(tmp_path):
    content = mae_encoder()
    sines = torch.tensor(method_arrays("mae")["positions/nonsquare"])
    content["pos_embed"] = torch.cat([torch.zeros(1, 48), sines])[None]
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match="`image_shape` must be given"):
        load_torch_checkpoint(path, num_heads=3)
    encoder = load_torch_checkpoint(path, num_heads=3, image_shape=(24, 40, 3))
    assert encoder.image_shape == (24, 40, 3)
    with pytest.raises(ValueError, match="of 10 x 6 patches"):
        load_torch_checkpoint(path, num_heads=3, image_shape=(40, 24, 3))


@pytest.mark.parametrize("width, num_heads", [(128, 2), (1280, 16)])
def test_published_heads(width, num_heads, tmp_path):
    def tensor(*shape):
        return torch.zeros(shape)

    block = {
        **{f"norm{i}.{k}": tensor(width) for i in (1, 2) for k in WEIGHTS},
        "attn.qkv.weight": tensor(3 * width, width),
        "attn.qkv.bias": tensor(3 * width),
        "attn.proj.weight": tensor(width, width),
        "attn.proj.bias": tensor(width),
        "mlp.fc1.weight": tensor(8, width),
        "mlp.fc1.bias": tensor(8),
        "mlp.fc2.weight": tensor(width, 8),
        "mlp.fc2.bias": tensor(width),
    }
    content = {
        "cls_token": tensor(1, 1, width),
        "pos_embed": tensor(1, 2, width),
        "patch_embed.proj.weight": tensor(width, 3, 2, 2),
        "patch_embed.proj.bias": tensor(width),
        **{f"blocks.0.{key}": value for key, value in block.items()},
        **{f"norm.{key}": tensor(width) for key in WEIGHTS},
    }
    # The sines of a single patch.
    content["pos_embed"][0, 1] = torch.tensor([0.0, 1.0] * 2).repeat_interleave(
        width // 4
    )
    encoder = load_torch_checkpoint(saved(tmp_path, content))
    assert encoder.get_config()["num_heads"] == num_heads


WEIGHTS = ("weight", "bias")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, tmp_path):
    content = {key: value.to(dtype) for key, value in mae_model().items()}
    path = saved(tmp_path, {"model": content})
    encoder = load_torch_checkpoint(path, num_heads=3)
    assert encoder.get_config()["positions"] == "sine"


@pytest.mark.parametrize("content", [mae_model, mae_encoder])
def test_positions_that_are_no_sines(content, tmp_path):
    content = content()
    content["pos_embed"][0, 5, 7] += 1e-3
    path = saved(tmp_path, {"model": content})
    match = f"{path}.*`pos_embed` must hold the fixed sine.*0.001 apart"
    with pytest.raises(ValueError, match=match):
        load_torch_checkpoint(path, num_heads=3)


@pytest.mark.parametrize(
    "key",
    ["extra", "blocks.1.attn.extra", "decoder_extra.weight", "head.extra"],
)
def test_keys_that_are_none(key, tmp_path):
    content = {**mae_model(), key: torch.zeros(3)}
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['{key}'\]"):
        load_torch_checkpoint(path, num_heads=3)


@pytest.mark.parametrize(
    "key", ["norm.bias", "blocks.1.attn.qkv.bias", "blocks.0.mlp.fc1.weight"]
)
def test_keys_that_are_missing(key, tmp_path):
    content = mae_model()
    del content[key]
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match=rf"{path}.*\['{key}'\]"):
        load_torch_checkpoint(path, num_heads=3)


def test_misshapen_tensors(tmp_path):
    content = mae_model()
    content["blocks.1.mlp.fc2.bias"] = torch.zeros(47)
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match=f"{path}.*fc2.bias.*47"):
        load_torch_checkpoint(path, num_heads=3)


@pytest.mark.parametrize("positions", ["sine", "learned"])
def test_a_training_goes_on(positions, tmp_path):
    method = make_method(positions)
    load_torch_weights(method, saved(tmp_path, mae_training()))
    noise = method_arrays("mae")["noise"].argsort(axis=1).astype("int32")
    inputs = {
        "images": images(),
        "visible_indices": noise[:, :16],
        "predict_indices": noise[:, 16:],
    }
    losses = method.compute_losses(inputs, training=False)
    assert_close(losses["pixel_loss"], "loss/normalized")
    assert_close(method(images())["global"], "eval/class_token")


def test_whole_models_need_all(tmp_path):
    method = make_method()
    before = [to_numpy(weight) for weight in method.weights]
    path = saved(tmp_path, {"model": mae_encoder()})
    with pytest.raises(ValueError, match=f"{path}.*Missing: .*decoder_embed"):
        load_torch_weights(method, path)
    content = mae_model()
    content["decoder_pos_embed"][0, 5, 7] += 1e-3
    path = saved(tmp_path, {"model": content})
    with pytest.raises(ValueError, match="`decoder_pos_embed` must hold"):
        load_torch_weights(method, path)
    for weight, value in zip(method.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


def test_of_another_method(tmp_path):
    path = saved(tmp_path, {"model": mae_model()})
    model = DINO(ViT(num_layers=1, **SIZES), num_prototypes=4)
    with pytest.raises(ValueError, match=f"must be a `MAE`.*{path}.*DINO"):
        load_torch_weights(model, path)
