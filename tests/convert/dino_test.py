"""Checkpoints of DINO, whole or in part."""

import numpy as np
import pytest
import torch
from conftest import REFERENCE
from convert.method_files import SIZES
from convert.method_files import dino_backbone
from convert.method_files import dino_training
from convert.method_files import mae_model
from convert.method_files import saved
from helpers import make_backbone
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.encoders import ViT
from keras_capi.layers import DINOHead
from keras_capi.layers import MultiCrop
from keras_capi.methods import DINO
from keras_capi.methods import MAE


def assert_close(value, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def views(name="global_views"):
    """Views in the order of the authors' tokens: by view, then by image."""
    images = np.moveaxis(method_arrays("dino")[name], -3, -1)
    return images.reshape(-1, *images.shape[2:])


def make_method(encoder=None):
    return DINO(
        encoder or ViT(num_layers=2, interpolation_offset=0.1, **SIZES),
        views=MultiCrop(32, 16, num_local_views=2),
        head=DINOHead(48, hidden_dim=64, bottleneck_dim=32),
    )


@pytest.mark.parametrize(
    "content, part",
    [
        (dino_backbone, "teacher"),
        (lambda: {"state_dict": dino_backbone("student")}, "student"),
        (dino_training, "teacher"),
        (dino_training, "student"),
        (lambda: {"teacher": dino_training()["teacher"]}, "teacher"),
    ],
    ids=["published", "student alone", "training", "student", "teacher alone"],
)
def test_features(content, part, tmp_path):
    path = saved(tmp_path, content())
    encoder = load_torch_checkpoint(path, part=part, num_heads=3)
    assert isinstance(encoder, ViT)
    expected = {**SIZES, "num_layers": 2, "mlp_dim": 192}
    expected |= {"positions": "learned", "interpolation_offset": 0.1}
    assert expected.items() <= encoder.get_config().items()
    arrays = method_arrays("dino")
    features = encoder(views())
    assert_close(features["global"], arrays[f"{part}_global/class_token"])
    patches = arrays[f"{part}_global/output"][:, 1:].reshape(8, 8, 8, 48)
    assert_close(features["feature_map"], patches)
    if part == "student":
        features = encoder(views("local_views"))
        assert_close(features["global"], arrays["student_local/class_token"])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["teacher"],
        lambda content: content["student"],
        lambda content: content["dino_loss"],
        lambda content: content,
    ],
    ids=["teacher", "student", "dino_loss", "top"],
)
def test_keys_that_are_none(change, tmp_path):
    content = dino_training()
    change(content)["backbone.extra"] = torch.zeros(3)
    path = saved(tmp_path, content)
    match = rf"{path}.*Unexpected: \['\S*extra'\].*CAPI, .*MAE, DINO"
    with pytest.raises(ValueError, match=match):
        load_torch_checkpoint(path, num_heads=3)
    match = rf"{path}.*Unexpected: \['\S*backbone.extra'\]"
    with pytest.raises(ValueError, match=match):
        load_torch_weights(make_method(), path)


def test_keys_that_are_missing(tmp_path):
    content = dino_backbone()
    del content["blocks.1.norm2.bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*\['blocks.1.norm2.bias'\]"):
        load_torch_checkpoint(path, num_heads=3)
    content = {"teacher": dino_training()["teacher"]}
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=f"`part`.*{path}, .'teacher'"):
        load_torch_checkpoint(path, part="student", num_heads=3)


@pytest.mark.parametrize(
    "keys, network",
    [
        (("conv1.weight", "layer1.0.conv1.weight"), "ResNet"),
        (("cls_token", "blocks.0.attn.temperature"), "XCiT"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_other_networks(keys, network, prefix, tmp_path):
    content = {prefix + key: torch.ones(2) for key in keys}
    content[f"{prefix}bn1.num_batches_tracked"] = torch.tensor(3)
    path = saved(tmp_path, {"teacher": content} if prefix else content)
    with pytest.raises(ValueError, match=f"{path}.*transformer.*{network}"):
        load_torch_checkpoint(path)


def of_newer_torch(content):
    """With torch's later names of what a weight norm is made of."""
    new = {"weight_g": "original0", "weight_v": "original1"}
    for part in ("student", "teacher"):
        for key in list(content[part]):
            head, _, name = key.rpartition(".")
            if name in new:
                name = f"parametrizations.weight.{new[name]}"
                content[part][f"{head}.{name}"] = content[part].pop(key)
    return content


@pytest.mark.parametrize(
    "change", [lambda content: content, of_newer_torch], ids=["", "newer"]
)
def test_a_training_goes_on(change, tmp_path):
    path = saved(tmp_path, change(dino_training()))
    method = make_method(
        load_torch_checkpoint(path, num_heads=3, drop_path_rate=0.1)
    )
    load_torch_weights(method, path)
    arrays = method_arrays("dino")
    global_views, local_views = (
        np.moveaxis(arrays[name], 0, 1).transpose(0, 1, 3, 4, 2)
        for name in ("global_views", "local_views")
    )
    inputs = {"global_views": global_views, "local_views": local_views}
    losses = method.compute_losses(inputs, training=False)
    assert_close(losses["dino_loss"], arrays["loss"])
    features = method.teacher(views())["global"]
    assert_close(features, arrays["teacher_global/class_token"])
    assert_close(method.teacher_head(features), arrays["teacher_logits"])
    assert_close(method.centering.center, arrays["weights/center"][0])


def test_a_head_of_one_layer(tmp_path):
    content = dino_training()
    for part in ("student", "teacher"):
        state = content[part]
        for key in [key for key in state if ".mlp." in key and "head" in key]:
            del state[key]
        prefix = "module." if part == "student" else ""
        state[f"{prefix}head.mlp.weight"] = torch.ones(32, 48)
        state[f"{prefix}head.mlp.bias"] = torch.zeros(32)
    path = saved(tmp_path, content)
    encoder = load_torch_checkpoint(path, num_heads=3)
    method = DINO(encoder, head=DINOHead(48, 1, bottleneck_dim=32))
    load_torch_weights(method, path)
    np.testing.assert_array_equal(to_numpy(method.head.layers[0].kernel), 1.0)


def test_encoders_of_other_kinds(tmp_path):
    path = saved(tmp_path, dino_training())
    encoder = make_backbone(image_shape=(16, 16, 3))
    model = DINO(encoder, head=DINOHead(48, 1, bottleneck_dim=32))
    with pytest.raises(ValueError, match="must have a `ViT`.*CAPIBackbone"):
        load_torch_weights(model, path)
    model = make_method()
    model.teacher.enable_lora(2)
    with pytest.raises(ValueError, match="without LoRA.*lora_rank=2"):
        load_torch_weights(model, path)


def test_of_another_method(tmp_path):
    path = saved(tmp_path, dino_training())
    with pytest.raises(ValueError, match=f"must be a `DINO`.*{path}.*MAE"):
        load_torch_weights(MAE(ViT(num_layers=1, **SIZES)), path)
    path = REFERENCE / "capi_reference.pth"
    with pytest.raises(ValueError, match=f"{path}.*than CAPI.*for a DINO"):
        load_torch_weights(make_method(), path)


def test_unknown_methods_are_told_the_known(tmp_path):
    content = {
        key.replace("cls_token", "class_token"): value
        for key, value in mae_model().items()
    }
    path = saved(tmp_path, {"model": content})
    with pytest.raises(
        ValueError, match=f"{path}.*CAPI, .*MAE, DINO.*Received"
    ):
        load_torch_checkpoint(path)
