"""Standard vision transformers as presets, alone or of a method."""

import json

import numpy as np
import pytest
from convert.method_files import SIZES
from convert.method_files import dino_training
from convert.method_files import saved
from helpers import make_images
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.encoders import CAPIBackbone
from keras_capi.encoders import ViT
from keras_capi.layers import DINOHead
from keras_capi.methods import DINO
from keras_capi.methods import MAE


def make_vit(**overrides):
    return ViT(
        **{
            "patch_size": 4,
            "num_layers": 1,
            "hidden_dim": 16,
            "num_heads": 2,
            "image_shape": (16, 16, 3),
            **overrides,
        }
    )


def check_same_features(encoder, expected):
    for size in ((16, 16), (16, 20)):
        images = make_images(2, *size)
        for name, value in expected(images).items():
            np.testing.assert_allclose(
                to_numpy(encoder(images)[name]), to_numpy(value), atol=1e-6
            )


@pytest.mark.parametrize(
    "arguments",
    [
        {"positions": "sine", "mlp_dim": 24},
        {"interpolation_offset": 0.1, "num_register_tokens": 2},
        {"positions": None, "class_token": False, "layer_scale": 0.1},
    ],
    ids=["sine", "registers", "plain"],
)
def test_folder(arguments, tmp_path):
    vit = make_vit(**arguments)
    vit.save_to_preset(tmp_path)
    loaded = ViT.from_preset(tmp_path, drop_path_rate=0.2)
    assert loaded.get_config() == {**vit.get_config(), "drop_path_rate": 0.2}
    check_same_features(loaded, vit)
    fresh = ViT.from_preset(tmp_path, load_weights=False)
    kernels = [e.patch_embedding.kernel for e in (fresh, vit)]
    assert (to_numpy(kernels[0]) != to_numpy(kernels[1])).any()


def test_relative_positions(tmp_path):
    vit = make_vit(positions=None, relative_positions="shared")
    bias = vit.positions.biases[0].table
    bias.assign(np.random.default_rng(0).normal(size=bias.shape))
    vit.save_to_preset(tmp_path)
    images = make_images(2)
    np.testing.assert_allclose(
        to_numpy(ViT.from_preset(tmp_path)(images)["global"]),
        to_numpy(vit(images)["global"]),
        atol=1e-6,
    )


@pytest.mark.parametrize("method", [MAE, DINO])
def test_the_encoder_of_a_method(method, tmp_path):
    arguments = {MAE: {"positions": "sine"}, DINO: {}}[method]
    options = {MAE: {}, DINO: {"head": DINOHead(8, 1, bottleneck_dim=4)}}
    model = method(make_vit(**arguments), **options[method])
    model.encoder.save_to_preset(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert "trainable" not in json.dumps(config)
    loaded = ViT.from_preset(tmp_path)
    expected = {w.path for w in make_vit(**arguments).trainable_weights}
    paths = {w.path.partition("/")[2] for w in loaded.trainable_weights}
    assert paths == {path.partition("/")[2] for path in expected}
    check_same_features(loaded, model.encoder)
    method(loaded, **options[method])


def test_converted_ones(tmp_path):
    encoder = load_torch_checkpoint(
        saved(tmp_path, dino_training()), num_heads=3
    )
    encoder.save_to_preset(tmp_path / "preset")
    loaded = ViT.from_preset(tmp_path / "preset")
    assert loaded.image_shape == SIZES["image_shape"]
    images = make_images(1, 32, 32)
    np.testing.assert_allclose(
        to_numpy(loaded(images)["global"]),
        to_numpy(encoder(images)["global"]),
        atol=1e-6,
    )


def test_presets_of_another_class(tmp_path):
    make_vit().save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="CAPIBackbone.*, keras_capi>ViT"):
        CAPIBackbone.from_preset(tmp_path)
    for name in (
        "capi_vit_small_patch14",
        "capi_vit_large_patch14_imagenet1k",
    ):
        with pytest.raises(ValueError, match=f"{name}.*CAPIBackbone.*: ViT"):
            ViT.from_preset(name)


def test_overrides_that_weights_do_not_fit(tmp_path):
    make_vit().save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="do not fit its configuration"):
        ViT.from_preset(tmp_path, image_shape=(32, 32, 3))
