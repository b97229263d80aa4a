"""Checkpoints of data2vec, whole or in part."""

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
from keras_capi.methods import Data2Vec
from keras_capi.methods import SimMIM
from keras_capi.ops import average_layers

ARGUMENTS = {
    "num_layers": 3,
    "positions": None,
    "relative_positions": "shared",
    "use_key_bias": False,
    "layer_scale": 0.1,
    **SIZES,
}
INDEX = "rel_pos_bias.relative_position_index"


def assert_close(value, name):
    expected = method_arrays("data2vec")[name]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def images():
    return np.moveaxis(method_arrays("data2vec")["images"], -3, -1)


def hidden():
    return method_arrays("data2vec")["mask"].reshape(4, -1)


def network(part):
    return {
        **under("data2vec", f"weights/{part}."),
        # As the published averages have it, wrong here and there.
        INDEX: torch.zeros(65, 65, dtype=torch.int64),
    }


def training():
    return {
        "model": network("student"),
        "optimizer": optimizer_state(),
        "epoch": 799,
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "args": training_settings(),
        "model_ema": network("teacher"),
    }


def alone(part):
    return {
        key: value
        for key, value in network(part).items()
        if not key.startswith("lm_head") and key != "mask_token"
    }


def wrapped(state):
    return {f"module.{key}": value for key, value in state.items()}


def assert_is_teacher(encoder):
    """The targets are those that the authors' teacher has."""
    assert isinstance(encoder, ViT)
    assert ARGUMENTS.items() <= encoder.get_config().items()
    outputs = encoder.encode_images(images(), layers=(2, 3), normalize=False)
    targets = average_layers(
        [outputs[f"layer_{layer}"][:, 1:] for layer in (2, 3)]
    )
    assert_close(to_numpy(targets)[hidden()], "target/targets")


def assert_is_student(encoder):
    arrays = method_arrays("data2vec")
    token = arrays["weights/student.mask_token"][0, 0]
    features = encoder.encode_images(images(), mask=hidden(), mask_token=token)[
        "patches"
    ]
    predictions = (
        to_numpy(features)[hidden()]
        @ arrays["weights/student.lm_head.weight"].T
        + arrays["weights/student.lm_head.bias"]
    )
    assert_close(predictions, "student/prediction")


def test_teacher_and_student_of_a_training(tmp_path):
    path = saved(tmp_path, training())
    assert_is_teacher(load_torch_checkpoint(path))
    assert_is_student(load_torch_checkpoint(path, part="student"))


@pytest.mark.parametrize(
    "content",
    [
        lambda: {"model": network("teacher")},
        lambda: {"model": wrapped(network("teacher"))},
        lambda: alone("teacher"),
    ],
    ids=["one network", "wrapped", "encoder alone"],
)
def test_one_network(content, tmp_path):
    path = saved(tmp_path, content())
    # There is one, whatever part is asked for.
    assert_is_teacher(load_torch_checkpoint(path))
    assert_is_teacher(load_torch_checkpoint(path, part="student"))


@pytest.mark.parametrize("key", ["extra", "lm_head.other", "head.x"])
@pytest.mark.parametrize("part", ["model", "model_ema"])
def test_keys_that_are_none(part, key, tmp_path):
    content = training()
    content[part][key] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['"):
        load_torch_checkpoint(path)


def test_keys_that_are_missing(tmp_path):
    content = training()
    del content["model_ema"]["blocks.1.attn.v_bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*v_bias"):
        load_torch_checkpoint(path)


def test_a_training_goes_on(tmp_path):
    model = Data2Vec(ViT(**ARGUMENTS), target_layers=(2, 3))
    load_torch_weights(model, saved(tmp_path, training()))
    inputs = {"images": images(), "mask": hidden()}
    losses = model.compute_losses(inputs, training=False)
    assert_close(losses["feature_loss"], "loss/total")
    assert_close(model.teacher_head.bias, "weights/teacher.lm_head.bias")


def test_whole_models_need_all(tmp_path):
    model = Data2Vec(ViT(**ARGUMENTS))
    path = saved(tmp_path, {"model": network("student")})
    with pytest.raises(ValueError, match=f"{path}.*Missing: .*teacher"):
        load_torch_weights(model, path)
    with pytest.raises(ValueError, match="must be a `Data2Vec`.*SimMIM"):
        load_torch_weights(SimMIM(ViT(**ARGUMENTS)), path)
