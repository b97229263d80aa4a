"""Checkpoints of AIM: the encoder, with its probe or without."""

import numpy as np
import pytest
import torch
from convert.method_files import saved
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.encoders import AIMEncoder
from keras_capi.methods import AIM

SIZES = {"num_heads": 2, "image_shape": (16, 12, 3)}


def published():
    """The encoder alone."""
    return {
        key: value
        for key, value in under("aim", "weights/").items()
        if not key.startswith("head.")
    }


def with_probe():
    return {
        **published(),
        **{f"head.{k}": v for k, v in under("aim", "eval/probe/").items()},
        "head.bn.num_batches_tracked": torch.tensor(3),
    }


def features(encoder):
    """What the authors' probe is given: outputs of all blocks, averaged."""
    images = np.moveaxis(method_arrays("aim")["input"], 1, -1)
    outputs = encoder.encode(
        *encoder.embed(images), layers=(1, 2), normalize=False
    )
    return (outputs["layer_1"] + outputs["layer_2"]) / 2


@pytest.mark.parametrize(
    "content",
    [
        published,
        with_probe,
        lambda: {
            "state_dict": {f"module.{k}": v for k, v in with_probe().items()}
        },
    ],
    ids=["published", "with probe", "wrapped"],
)
def test_features(content, tmp_path):
    encoder = load_torch_checkpoint(saved(tmp_path, content()), **SIZES)
    assert isinstance(encoder, AIMEncoder)
    config = encoder.get_config()
    expected = {"patch_size": 4, "num_layers": 2, "hidden_dim": 16}
    assert {**expected, "mlp_dim": 64, **SIZES}.items() <= config.items()
    np.testing.assert_allclose(
        to_numpy(features(encoder)),
        method_arrays("aim")["eval/average_of_layers"],
        atol=2e-5,
    )


def test_published_sizes_follow_from_the_shapes(tmp_path):
    def tensor(*shape):
        return torch.zeros(shape)

    width = 256
    content = {
        "preprocessor.patchifier.proj.weight": tensor(width, 3, 14, 14),
        "preprocessor.patchifier.proj.bias": tensor(width),
        "trunk.blocks.0.attn.qkv.weight": tensor(3 * width, width),
        "trunk.blocks.0.attn.proj.weight": tensor(width, width),
        "trunk.blocks.0.mlp.fc1.weight": tensor(8, width),
        "trunk.blocks.0.mlp.fc2.weight": tensor(width, 8),
        **{
            f"{norm}.{name}": tensor(width)
            for norm in (
                "preprocessor.patchifier.norm",
                "trunk.blocks.0.norm_1",
                "trunk.blocks.0.norm_2",
                "trunk.post_trunk_norm",
            )
            for name in ("weight", "bias")
        },
    }
    path = saved(tmp_path, content)
    config = load_torch_checkpoint(path, drop_path_rate=0.1).get_config()
    expected = {"num_heads": 2, "image_shape": (224, 224, 3)}
    assert {**expected, "drop_path_rate": 0.1}.items() <= config.items()
    path = saved(tmp_path, published())
    with pytest.raises(ValueError, match="`num_heads` must be given.*128"):
        load_torch_checkpoint(path)


@pytest.mark.parametrize(
    "key",
    [
        "extra",
        "preprocessor.pos_embed",
        "trunk.blocks.1.mlp.fc3.weight",
        "head.embed.weight",
    ],
)
def test_keys_that_are_none(key, tmp_path):
    path = saved(tmp_path, {**with_probe(), key: torch.zeros(3)})
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['{key}'\]"):
        load_torch_checkpoint(path, **SIZES)


@pytest.mark.parametrize(
    "key",
    [
        "preprocessor.patchifier.proj.weight",
        "preprocessor.patchifier.norm.bias",
        "trunk.blocks.1.norm_1.weight",
        "trunk.post_trunk_norm.weight",
    ],
)
def test_keys_that_are_missing(key, tmp_path):
    content = published()
    del content[key]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*\['{key}'\]"):
        load_torch_checkpoint(path, **SIZES)


def test_there_is_no_whole_model(tmp_path):
    path = saved(tmp_path, published())
    model = AIM(load_torch_checkpoint(path, **SIZES))
    with pytest.raises(ValueError, match=f"{path}.*without a head for pixels"):
        load_torch_weights(model, path)
    # But the training can go on.
    images = np.moveaxis(method_arrays("aim")["input"], 1, -1)
    losses = model.compute_losses(
        {"images": images, "prefix_length": np.array([1, 4, 9])}, False
    )
    assert np.isfinite(to_numpy(losses["pixel_loss"]))
