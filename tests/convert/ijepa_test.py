"""Checkpoints of I-JEPA, whole or in part."""

import numpy as np
import pytest
import torch
from convert.method_files import SIZES
from convert.method_files import optimizer_state
from convert.method_files import saved
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy
from keras import ops

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.decoders import SelfAttentionPredictor
from keras_capi.encoders import ViT
from keras_capi.methods import IJEPA
from keras_capi.methods import MAE
from keras_capi.ops import layer_normalize

NETWORKS = ("encoder", "predictor", "target_encoder")


def network(name):
    return under("ijepa", f"weights/{name}.")


def training():
    """As published: all networks within their wrappers."""
    return {
        **{
            name: {f"module.{k}": v for k, v in network(name).items()}
            for name in NETWORKS
        },
        "opt": optimizer_state(),
        "scaler": None,
        "epoch": 300,
        "loss": 0.1,
        "batch_size": 128,
        "world_size": 16,
        "lr": 1e-3,
    }


def images():
    return np.moveaxis(method_arrays("ijepa")["images"], -3, -1)


def make_method():
    encoder = ViT(num_layers=2, class_token=False, positions="sine", **SIZES)
    predictor = SelfAttentionPredictor.for_encoder(
        encoder, num_layers=2, hidden_dim=24
    )
    return IJEPA(encoder, predictor=predictor)


def check_targets(encoder):
    """The encoder must be the teacher, and give the authors' targets."""
    features = ops.reshape(encoder(images())["feature_map"], (4, 64, 48))
    arrays = method_arrays("ijepa")
    targets = [
        np.take_along_axis(
            to_numpy(layer_normalize(features)), indices[..., None], axis=1
        )
        for indices in arrays["masks_pred"].astype("int64")
    ]
    expected = arrays["target/targets"]
    np.testing.assert_allclose(np.concatenate(targets), expected, atol=1e-4)


@pytest.mark.parametrize(
    "content",
    [
        training,
        lambda: {"target_encoder": network("target_encoder")},
        lambda: network("target_encoder"),
        lambda: {"model": {"encoder": network("target_encoder")}},
    ],
    ids=["published", "teacher", "bare", "wrapped"],
)
def test_features(content, tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, content()), num_heads=3)
    assert isinstance(encoder, ViT)
    expected = {**SIZES, "num_layers": 2, "mlp_dim": 192, "positions": "sine"}
    config = encoder.get_config()
    assert {**expected, "class_token": False}.items() <= config.items()
    check_targets(encoder)


def test_student(tmp_path):
    path = saved(tmp_path, training())
    encoder = load_torch_checkpoint(path, part="student", num_heads=3)
    visible = method_arrays("ijepa")["masks_enc"][0]
    outputs = encoder.encode(*encoder.embed(images(), visible))
    np.testing.assert_allclose(
        to_numpy(outputs["patches"]),
        method_arrays("ijepa")["encoder/output"],
        atol=1e-4,
    )


def test_a_training_goes_on(tmp_path):
    method = make_method()
    load_torch_weights(method, saved(tmp_path, training()))
    arrays = method_arrays("ijepa")
    inputs = {
        "images": images(),
        "visible_indices": arrays["masks_enc"].transpose(1, 0, 2),
        "predict_indices": arrays["masks_pred"].transpose(1, 0, 2),
    }
    losses = method.compute_losses(inputs, training=False)
    assert float(to_numpy(losses["feature_loss"])) == pytest.approx(
        float(arrays["loss"]), rel=1e-5
    )
    check_targets(method.encoder)


@pytest.mark.parametrize(
    "key",
    [
        "extra",
        "encoder.extra",
        "target_encoder.extra",
        "predictor.predictor_extra.weight",
        "target_encoder.blocks.1.attn.extra",
    ],
)
def test_keys_that_are_none(key, tmp_path):
    content = training()
    *owner, name = key.split(".", 1)
    (content[owner[0]] if owner else content)[name] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=f"{path}.*Unexpected: .*extra"):
        load_torch_checkpoint(path, num_heads=3)


def test_what_is_missing_or_no_sine(tmp_path):
    content = training()
    del content["target_encoder"]["module.norm.bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*\['norm.bias'\]"):
        load_torch_checkpoint(path, num_heads=3)
    content = training()
    content["target_encoder"]["module.pos_embed"][0, 5, 7] += 1e-3
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match="`pos_embed` must hold the fixed"):
        load_torch_checkpoint(path, num_heads=3)
    content = training()
    del content["predictor"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match="Missing: .*predictor.mask_token"):
        load_torch_weights(make_method(), path)


def test_of_another_method(tmp_path):
    path = saved(tmp_path, training())
    model = MAE(ViT(num_layers=1, positions="sine", **SIZES))
    with pytest.raises(ValueError, match=f"must be a `IJEPA`.*{path}.*MAE"):
        load_torch_weights(model, path)
