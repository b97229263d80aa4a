import numpy as np
import pytest
import torch
from conftest import REFERENCE
from helpers import make_images
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint

CHECKPOINT = REFERENCE / "capi_reference.pth"


def saved(folder, state):
    path = folder / "checkpoint.pth"
    torch.save(state, path)
    return path


@pytest.fixture
def state():
    return torch.load(CHECKPOINT, weights_only=True)


def test_reads_the_architecture(reference_backbone):
    config = reference_backbone.get_config()
    expected = {
        "patch_size": 4,
        "num_layers": 3,
        "predictor_num_layers": 2,
        "hidden_dim": 48,
        "predictor_hidden_dim": 48,
        "num_heads": 3,
        "predictor_num_heads": 3,
        "mlp_dim": 192,
        "num_register_tokens": 8,
        "image_shape": (None, None, 3),
        "drop_path_rate": 0.0,
    }
    assert expected.items() <= config.items()


def test_keys_without_prefix(state, tmp_path, reference_backbone):
    prefix = "backbone."
    path = saved(
        tmp_path,
        {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if key.startswith(prefix)
        },
    )
    backbone = load_torch_checkpoint(path)
    for ours, expected in zip(
        backbone.weights, reference_backbone.weights, strict=True
    ):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(expected))


def test_overrides_are_constructor_arguments():
    backbone = load_torch_checkpoint(
        CHECKPOINT,
        register_coordinates="zeros",
        scale_registers_to_visible=False,
        drop_path_rate=0.1,
        image_shape=(32, 32, 3),
    )
    config = backbone.get_config()
    assert config["register_coordinates"] == "zeros"
    assert config["scale_registers_to_visible"] is False
    assert config["drop_path_rate"] == 0.1
    assert config["image_shape"] == (32, 32, 3)
    features = backbone(make_images(1, 32, 32))
    expected = load_torch_checkpoint(CHECKPOINT)(make_images(1, 32, 32))
    difference = to_numpy(features["global"]) - to_numpy(expected["global"])
    assert np.abs(difference).max() > 1e-3


def test_missing_and_unexpected_keys_are_listed(state, tmp_path):
    state["backbone.extra"] = state.pop("backbone.patch_embed.bias")
    with pytest.raises(
        ValueError, match=r"Missing: \['patch_embed.bias'\].*\['extra'\]"
    ):
        load_torch_checkpoint(saved(tmp_path, state))


def test_misshapen_tensors_are_named(state, tmp_path):
    key = "backbone.decoder.blocks.1.residual2.fn.fc2.weight"
    state[key] = state[key][:, :-1]
    with pytest.raises(ValueError, match=r"fc2.weight .* \(191, 48\)"):
        load_torch_checkpoint(saved(tmp_path, state))
    with pytest.raises(ValueError, match="do not fit the architecture"):
        load_torch_checkpoint(CHECKPOINT, hidden_dim=96, num_heads=6)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no CAPI checkpoint"):
        load_torch_checkpoint(saved(tmp_path, {"weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match="dictionary of tensors"):
        load_torch_checkpoint(saved(tmp_path, [torch.zeros(1)]))
