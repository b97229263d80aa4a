"""Checkpoints of data2vec 2.0 for images, whole or in part."""

import numpy as np
import pytest
import torch
from convert.method_files import optimizer_state
from convert.method_files import saved
from convert.method_files import under
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.decoders import ConvolutionalPredictor
from keras_capi.encoders import ViT
from keras_capi.methods import Data2Vec2
from keras_capi.methods import SimMIM

ARGUMENTS = {
    "patch_size": 4,
    "num_layers": 3,
    "hidden_dim": 32,
    "image_shape": (20, 20, 3),
    "mlp_dim": 48,
    "positions": "sine",
    "post_norm": True,
}
IMAGES = "modality_encoders.IMAGE."
POSITIONS = f"{IMAGES}fixed_positional_encoder.positions"
# Shapes do not tell them, as heads of 64 do not fit in.
HEADS = {"num_heads": 4}


def arrays():
    return method_arrays("data2vec2")


def images():
    return np.moveaxis(arrays()["images"], -3, -1)


def indices():
    """Visible and hidden patches: images, masks, patches."""
    order = arrays()["mask"].argsort(axis=1, kind="stable").astype("int32")
    order = order.reshape(2, 3, 25)
    return order[..., :4], order[..., 4:]


def assert_close(value, name):
    expected = arrays()[name]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        to_numpy(value) / scale, expected / scale, rtol=0, atol=2e-5
    )


def network(part):
    state = under("data2vec2", f"weights/{part}.")
    return {
        POSITIONS: under("data2vec2", "weights/student.")[POSITIONS],
        **state,
    }


def training():
    """What the authors' trainer writes."""
    return {
        "args": None,
        "cfg": {"model": {"_name": "data2vec_multi", "clone_batch": 3}},
        "model": {**network("student"), "_ema": network("teacher")},
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "composite"}],
        "task_state": {},
        "extra_state": {"epoch": 75, "metrics": {"default": []}},
        "last_optimizer_state": {"default": optimizer_state()},
    }


def fine_tuned():
    state = {
        f"model.{key}": value
        for key, value in network("student").items()
        if ".decoder." not in key
    }
    return {
        "model": {
            **state,
            "fc_norm.weight": torch.ones(32),
            "fc_norm.bias": torch.zeros(32),
            "head.weight": torch.ones(5, 32),
            "head.bias": torch.zeros(5),
        }
    }


def assert_is_teacher(encoder):
    """The targets are those that the authors' teacher has."""
    assert isinstance(encoder, ViT)
    assert ARGUMENTS.items() <= encoder.get_config().items()
    model = make_model(encoder)
    model.teacher.set_weights(encoder.get_weights())
    assert_close(model.compute_targets(images()), "target/targets")


def assert_is_student(encoder):
    visible, _ = indices()
    outputs = encoder.encode_images(
        np.repeat(images(), 3, axis=0), visible.reshape(6, 4)
    )
    tokens = [to_numpy(outputs[name]) for name in ("prefix", "patches")]
    assert_close(np.concatenate(tokens, axis=1), "forward/student/block_2")


def make_model(encoder):
    decoder = ConvolutionalPredictor.for_encoder(
        encoder, num_layers=2, num_groups=4
    )
    return Data2Vec2(
        encoder, decoder=decoder, target_layers=(2, 3), class_weight=0.6
    )


def test_teacher_and_student_of_a_training(tmp_path):
    path = saved(tmp_path, training())
    assert_is_teacher(load_torch_checkpoint(path, **HEADS))
    assert_is_student(load_torch_checkpoint(path, part="student", **HEADS))


@pytest.mark.parametrize("part", ["student", "teacher"])
def test_one_network(part, tmp_path):
    """There is one, whatever part is asked for."""
    path = saved(tmp_path, {"model": network("student")})
    assert_is_student(load_torch_checkpoint(path, part=part, **HEADS))


def test_fine_tuned(tmp_path):
    path = saved(tmp_path, fine_tuned())
    assert_is_student(load_torch_checkpoint(path, **HEADS))


@pytest.mark.parametrize("owner", ["model", "_ema"])
@pytest.mark.parametrize("key", ["extra", "blocks.1.x", f"{IMAGES}alibi_scale"])
def test_keys_that_are_none(owner, key, tmp_path):
    content = training()
    model = content["model"]
    (model if owner == "model" else model["_ema"])[key] = torch.zeros(3)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*Unexpected: \['"):
        load_torch_checkpoint(path, **HEADS)


def test_keys_that_are_missing(tmp_path):
    content = training()
    del content["model"]["_ema"]["blocks.1.norm2.bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*norm2.bias"):
        load_torch_checkpoint(path, **HEADS)
    content = training()
    del content["model"][f"{IMAGES}context_encoder.blocks.0.norm2.bias"]
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*norm2.bias"):
        load_torch_checkpoint(path, part="student", **HEADS)


def test_other_positions(tmp_path):
    content = training()
    content["model"]["_ema"][POSITIONS] = torch.zeros(1, 25, 32)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match="must hold the fixed sine and cosine"):
        load_torch_checkpoint(path, **HEADS)
    content["model"]["_ema"][POSITIONS] = torch.zeros(1, 24, 32)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match="`image_shape` must be given"):
        load_torch_checkpoint(path, **HEADS)


def test_a_training_goes_on(tmp_path):
    encoder = ViT(**ARGUMENTS, **HEADS)
    model = make_model(encoder)
    load_torch_weights(model, saved(tmp_path, training()))
    visible, hidden = indices()
    targets = model.compute_targets(images())
    assert_close(targets, "target/targets")
    _, class_tokens = model.predict_features(images(), visible, hidden)
    errors = to_numpy(class_tokens) - np.repeat(
        to_numpy(targets).mean(axis=1), 3, axis=0
    )
    loss = 0.1 * np.square(errors).sum() / np.sqrt(32)
    np.testing.assert_allclose(loss, arrays()["loss/cls"], rtol=1e-4)
    assert_close(
        model.decoder.prediction.bias,
        f"weights/student.{IMAGES}decoder.proj.bias",
    )


def test_whole_models_need_all(tmp_path):
    model = make_model(ViT(**ARGUMENTS, **HEADS))
    path = saved(tmp_path, {"model": network("student")})
    with pytest.raises(ValueError, match=f"{path}.*Missing: .*blocks"):
        load_torch_weights(model, path)
    arguments = {**ARGUMENTS, **HEADS}
    with pytest.raises(ValueError, match="must be a `Data2Vec2`.*SimMIM"):
        load_torch_weights(SimMIM(ViT(**arguments)), path)
    model = make_model(ViT(**{**arguments, "post_norm": False}))
    with pytest.raises(ValueError, match="an encoder with `post_norm=True`"):
        load_torch_weights(model, path)
