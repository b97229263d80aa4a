"""Checkpoints of BEiT, whole or in part."""

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
from keras_capi.methods import BEiT
from keras_capi.methods import SimMIM
from keras_capi.tokenizers import DALLETokenizer

ARGUMENTS = {
    "num_layers": 3,
    "positions": None,
    "relative_positions": "shared",
    "use_key_bias": False,
    "layer_scale": 0.1,
    **SIZES,
}
BESIDE = ("mask_token", "lm_head.weight", "lm_head.bias")


def assert_close(value, name):
    expected = method_arrays("beit")[name]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def images():
    return np.moveaxis(method_arrays("beit")["images"], -3, -1)


def whole():
    return under("beit", "weights/")


def training():
    return {
        "model": whole(),
        "optimizer": optimizer_state(),
        "epoch": 799,
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "args": training_settings(),
    }


def wrapped():
    return {
        "model": {f"module.{name}": value for name, value in whole().items()}
    }


def alone():
    return {k: value for k, value in whole().items() if k not in BESIDE}


@pytest.mark.parametrize("content", [training, wrapped, alone])
def test_encoder(content, tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, content()))
    assert isinstance(encoder, ViT)
    assert ARGUMENTS.items() <= encoder.get_config().items()
    assert_close(encoder(images())["global"], "eval/class_token")


@pytest.mark.parametrize("key", ["extra", "lm_head.other", "model_ema.x"])
def test_keys_that_are_none(key, tmp_path):
    content = training()
    content["model"][key] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['"):
        load_torch_checkpoint(path)


def test_keys_that_are_missing(tmp_path):
    content = training()
    del content["model"]["blocks.1.attn.v_bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*v_bias"):
        load_torch_checkpoint(path)


def test_a_training_goes_on(tmp_path):
    tokenizer = DALLETokenizer(64, hidden_dim=1, num_blocks=1)
    model = BEiT(ViT(**ARGUMENTS), tokenizer)
    path = saved(tmp_path, training())
    load_torch_weights(model, path)
    arrays = method_arrays("beit")
    mask = arrays["mask"].reshape(4, -1)
    logits = to_numpy(model.predict_logits(images(), mask))
    assert_close(logits[mask], "forward/logits")
    with pytest.raises(ValueError, match="must be a `BEiT`.*SimMIM"):
        load_torch_weights(SimMIM(ViT(**ARGUMENTS)), path)
