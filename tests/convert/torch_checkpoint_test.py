import numpy as np
import pytest
import torch
from conftest import REFERENCE
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights

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


def test_weights_do_not_change_with_the_file(state, tmp_path):
    path = saved(tmp_path, state)
    backbone = load_torch_checkpoint(path)
    expected = [to_numpy(weight).copy() for weight in backbone.weights]
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    for weight, values in zip(backbone.weights, expected, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), values)


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
    with pytest.raises(ValueError, match=r"fc2.weight is \(191, 48\)"):
        load_torch_checkpoint(saved(tmp_path, state))
    with pytest.raises(ValueError, match="do not fit the architecture"):
        load_torch_checkpoint(CHECKPOINT, hidden_dim=96, num_heads=6)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a checkpoint of"):
        load_torch_checkpoint(saved(tmp_path, {"weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match="dictionary of tensors"):
        load_torch_checkpoint(saved(tmp_path, [torch.zeros(1)]))


def training_checkpoint(reference):
    """What the authors' training code writes, wrappers in keys included."""

    def tensors(prefix, to):
        return {
            to + key.removeprefix(prefix): torch.tensor(value)
            for key, value in reference.items()
            if key.startswith(prefix)
        }

    model = {
        **tensors("final/student.", "student."),
        **tensors("final/ema.", "student_ema."),
        **tensors("final/ema.backbone.", "teacher.backbone."),
        **tensors("final/teacher_head.", "teacher.head."),
    }
    wrapped = {}
    for key, value in model.items():
        part, module, rest = key.split(".", 2)
        path, _, name = rest.rpartition(".")
        path = path and path + "."
        wrapped[
            f"{part}.{module}.module.{path}parametrizations.{name}.original"
        ] = value
    return {
        "iteration": 11,
        "model": wrapped,
        "optimizer": {"state": {0: {"step": torch.ones(())}}},
        "clustering_optimizer": {"state": {}},
    }


@pytest.mark.parametrize("part", ["teacher", "student"])
def test_training_checkpoints(part, reference, tmp_path):
    path = saved(tmp_path, training_checkpoint(reference))
    backbone = load_torch_checkpoint(path, part=part)
    name = {"teacher": "ema", "student": "student"}[part]
    np.testing.assert_array_equal(
        to_numpy(backbone.encoder.register_tokens.registers),
        reference[f"final/{name}.backbone.registers"].reshape(-1, 48),
    )


def test_nested_parts(reference, tmp_path):
    flat = training_checkpoint(reference)["model"]
    nested = {}
    for key, value in flat.items():
        part, rest = key.split(".", 1)
        nested.setdefault(part, {})[rest] = value
    backbone = load_torch_checkpoint(saved(tmp_path, nested))
    np.testing.assert_array_equal(
        to_numpy(backbone.predictor.mask_token),
        reference["final/ema.backbone.mask_token"].reshape(-1),
    )


def test_every_key_of_a_training_checkpoint_counts(reference, tmp_path):
    checkpoint = training_checkpoint(reference)
    checkpoint["model"]["student.head.bias"] = torch.zeros(3)
    checkpoint["model"]["student.backbone.extra"] = torch.zeros(3)
    with pytest.raises(
        ValueError, match=r"\['student.backbone.extra', 'student.head.bias'\]"
    ):
        load_torch_checkpoint(saved(tmp_path, checkpoint))


def test_unknown_part(state, tmp_path):
    with pytest.raises(ValueError, match="`part` must be one of"):
        load_torch_checkpoint(CHECKPOINT, part="ema")


def test_there_is_no_whole_model():
    with pytest.raises(ValueError, match="another method than CAPI.* a CAPI$"):
        load_torch_weights(make_model(), CHECKPOINT)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "checkpoint.pth"
    with pytest.raises(FileNotFoundError):
        load_torch_checkpoint(path)
    whole = CHECKPOINT.read_bytes()
    for content in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read"):
            load_torch_checkpoint(path)


class Malicious:
    def __reduce__(self):
        return (print, ("code in the file was run",))


def test_code_in_files_is_not_run(state, tmp_path, capsys):
    state["backbone.extra"] = Malicious()
    with pytest.raises(ValueError, match="cannot be read"):
        load_torch_checkpoint(saved(tmp_path, state))
    assert "was run" not in capsys.readouterr().out
