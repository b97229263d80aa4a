"""The standard encoder gives the numbers of the authors of MAE and DINO."""

import numpy as np
import pytest
from helpers import method_arrays
from helpers import to_numpy
from keras import ops

from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.encoders import ViT
from keras_capi.ops import sine_positions

SIZES = {
    "patch_size": 4,
    "hidden_dim": 48,
    "num_heads": 3,
    "image_shape": (32, 32, 3),
}


def under(reference, prefix):
    return {
        key.removeprefix(prefix): value
        for key, value in reference.items()
        if key.startswith(prefix)
    }


def load(vit, tensors):
    for variable, array in pair_entries(vit_entries(vit, tensors), tensors):
        variable.assign(array)
    return vit


def channels_last(images):
    return np.moveaxis(images, -3, -1)


def assert_close(value, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def assert_tokens(outputs, name, expected):
    """Compares all tokens: those of the prefix and of the patches."""
    if name in outputs:
        assert_close(outputs[name], expected)
        return
    tokens = ops.concatenate([outputs["prefix"], outputs["patches"]], axis=1)
    assert_close(tokens, expected)


@pytest.fixture(scope="module")
def mae():
    return method_arrays("mae")


@pytest.fixture(scope="module")
def mae_vit(mae):
    vit = ViT(num_layers=3, positions="sine", **SIZES)
    tensors = {
        name: value
        for name, value in under(mae, "weights/").items()
        if not name.startswith(("decoder", "mask_token"))
    }
    return load(vit, tensors)


def test_mae_sines(mae, mae_vit):
    np.testing.assert_allclose(
        sine_positions((6, 10), 48), mae["positions/nonsquare"], atol=1e-6
    )
    fresh = ViT(num_layers=1, positions="sine", **SIZES)
    for vit in (mae_vit, fresh):
        np.testing.assert_allclose(
            to_numpy(vit.positions.table(grid_size=(8, 8))),
            mae["weights/pos_embed"],
            atol=1e-6,
        )


def test_mae_visible_patches(mae, mae_vit):
    images = channels_last(mae["images"])
    tokens, _ = mae_vit.embed(images)
    assert_close(tokens, mae["forward/patch_embed"])
    tokens, positions = mae_vit.embed(images, mae["ids_keep"])
    layers = (1, 2, 3)
    outputs = mae_vit.encode(tokens, positions, layers)
    assert_tokens(outputs, "last", mae["forward/latent"])
    assert_tokens(outputs, "layer_3", mae["forward/latent"])
    outputs = mae_vit.encode(tokens, positions, layers, normalize=False)
    for layer in layers:
        assert_tokens(
            outputs, f"layer_{layer}", mae[f"forward/encoder_block_{layer - 1}"]
        )
    features = mae_vit(images, visible_indices=mae["ids_keep"])
    assert_close(features["patches"], mae["forward/latent"][:, 1:])


def test_mae_whole_images(mae, mae_vit):
    images = channels_last(mae["images"])
    features = mae_vit(images)
    assert_close(features["global"], mae["eval/class_token"])
    patches = mae["eval/tokens"][:, 1:].reshape(4, 8, 8, 48)
    assert_close(features["feature_map"], patches)
    outputs = mae_vit.encode(*mae_vit.embed(images), normalize=False)
    assert_tokens(outputs, "last", mae["eval/tokens_before_norm"])
    pooled = to_numpy(outputs["patches"]).mean(axis=1)
    pooled = (pooled - pooled.mean(-1, keepdims=True)) / np.sqrt(
        pooled.var(-1, keepdims=True) + 1e-6
    )
    pooled = pooled * mae["eval/fc_norm.weight"] + mae["eval/fc_norm.bias"]
    assert_close(pooled, mae["eval/global_pool"])


def test_mae_other_size(mae, mae_vit):
    positions = mae_vit.positions.table(grid_size=(10, 10))
    assert_close(positions, mae["eval_other_size/pos_embed"])
    images = channels_last(mae["images_other_size"])
    outputs = mae_vit.encode(*mae_vit.embed(images))
    assert_tokens(outputs, "last", mae["eval_other_size/tokens"])


@pytest.mark.parametrize("part", ["student", "teacher"])
def test_dino(part):
    dino = method_arrays("dino")
    vit = ViT(num_layers=2, interpolation_offset=0.1, **SIZES)
    load(vit, under(dino, f"weights/{part}.backbone."))
    views = {"global": dino["global_views"], "local": dino["local_views"]}
    for name, images in views.items():
        expected = under(dino, f"{part}_{name}/")
        if not expected:
            continue
        images = channels_last(images.reshape(-1, *images.shape[2:]))
        side = images.shape[1] // 4
        table = vit.positions.table(grid_size=(side, side))
        tokens, positions = vit.embed(images)
        if name == "local":
            assert_close(table, expected["position_table"])
        else:
            # Stored is the parameter itself, which has been trained since.
            np.testing.assert_array_equal(
                expected["position_table"],
                dino[f"final/{part}.backbone.pos_embed"],
            )
            assert_close(table, dino[f"weights/{part}.backbone.pos_embed"])
        assert_close(tokens + positions, expected["tokens"][:, 1:])
        outputs = vit.encode(tokens, positions, (1, 2), normalize=False)
        assert_tokens(outputs, "layer_1", expected["block_0"])
        assert_tokens(outputs, "layer_2", expected["block_1"])
        assert_tokens(vit.encode(tokens, positions), "", expected["output"])
        features = vit(images)
        assert_close(features["global"], expected["class_token"])
