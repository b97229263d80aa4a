"""Files of arrays whose configuration is not that of the tests' files."""

import copy
import functools

import numpy as np
import pytest
from backend_helpers import on_one_backend

from benchmarks import parity
from benchmarks.replay import beit
from benchmarks.replay import capi
from benchmarks.replay import data2vec
from benchmarks.replay import dino
from benchmarks.replay import dinov2_model
from benchmarks.replay import dinov2_training
from benchmarks.replay import ibot
from benchmarks.replay import ibot_model
from benchmarks.replay import ijepa
from benchmarks.replay import mae
from benchmarks.replay import multi_crop_model
from benchmarks.replay import simclr
from benchmarks.replay import simmim
from benchmarks.replay import swav
from benchmarks.replay.files import read_file
from benchmarks.replay.schedules import warmup_cosine
from keras_capi.ops import register_coordinates

pytestmark = on_one_backend("How a file is read does not depend on a backend.")
BIASES = (".q_bias", ".v_bias")


@functools.cache
def read(method):
    return read_file(parity.stored_arrays(method))


def stored(method):
    arrays, description = read(method)
    return dict(arrays), copy.deepcopy(description)


def check_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"register_coordinates": "zeros"}, {"scale_reg_to_visible": False}],
)
def test_registers_of_capi_are_where_the_file_puts_them(options):
    arrays, description = stored("capi")
    count = description["model"]["n_registers"]
    description["model"] |= options
    coordinates = capi._forward(arrays, description)["masked/coords"]
    registers, patches = np.split(coordinates, [count], axis=1)
    if "register_coordinates" in options:
        expected = patches.min(axis=1, keepdims=True)
    else:
        expected = np.asarray(register_coordinates(count))[None]
    expected = np.broadcast_to(expected, registers.shape)
    np.testing.assert_allclose(registers, expected, atol=1e-6)


def without_biases(arrays, description):
    """Returns arrays without biases of queries and values, and with zeros."""
    zeros = {
        name: np.zeros_like(values) if name.endswith(BIASES) else values
        for name, values in arrays.items()
    }
    without = {k: v for k, v in arrays.items() if not k.endswith(BIASES)}
    other = copy.deepcopy(description)
    other.get("configuration", other)["model"]["qkv_bias"] = False
    return zeros, without, other


@pytest.mark.parametrize(
    ("method", "replay", "part"),
    [
        ("beit", beit, ""),
        ("simmim", simmim, "encoder."),
        ("data2vec", data2vec, "student."),
    ],
)
def test_attention_without_any_biases(method, replay, part):
    arrays, description = stored(method)
    zeros, without, other = without_biases(arrays, description)
    config = description.get("configuration", description)
    config_without = other.get("configuration", other)
    expected = replay._gradients(zeros, config)
    gradients = replay._gradients(without, config_without)
    biases = {name for name in expected if name.endswith(BIASES)}
    assert biases
    check_same(
        {k: v for k, v in gradients.items() if k != "gradient_norm"},
        {
            name: values
            for name, values in expected.items()
            if name not in biases | {"gradient_norm"}
        },
    )
    model = replay.make_model(without, config_without)
    frozen = [
        weight
        for block in model.encoder.blocks
        for weight in (block.attention.query_bias, block.attention.value_bias)
    ]
    assert not any(weight.trainable for weight in frozen)
    del without[f"weights/{part}blocks.0.attn.proj.bias"]
    with pytest.raises(ValueError, match="Missing"):
        replay.make_model(without, config_without)


def test_some_biases_but_not_all_are_an_error():
    arrays, description = stored("beit")
    del arrays["weights/blocks.0.attn.q_bias"]
    with pytest.raises(ValueError, match="Missing"):
        beit.make_model(arrays, description["configuration"])


def test_beit_of_images_of_one_channel():
    arrays, description = stored("beit")
    config = description["configuration"]
    kernel = "weights/patch_embed.proj.weight"
    grey, blank = dict(arrays), dict(arrays)
    grey["images"] = arrays["images"][:, :1]
    grey[kernel] = arrays[kernel][:, :1]
    blank["images"] = arrays["images"].copy()
    blank["images"][:, 1:] = 0
    results = [
        beit._forward(values, beit.make_model(values, config))
        for values in (grey, blank)
    ]
    for ours, theirs in zip(*results, strict=True):
        check_same(ours, theirs)


def test_mae_without_a_norm_of_the_mean():
    arrays, description = stored("mae")
    config = description["configuration"]
    expected = mae._features(arrays, config)
    for name in list(arrays):
        if name.startswith(("eval/fc_norm.", "eval/global_pool")):
            del arrays[name]
    del expected["eval/global_pool"]
    check_same(mae._features(arrays, config), expected)


@pytest.mark.parametrize("epochs", [0.5, 1.0])
def test_mae_with_a_warm_up_of_half_an_epoch(epochs):
    arrays, description = stored("mae")
    config = description["configuration"]
    config["train"]["warmup_epochs"] = epochs
    rates = mae._training(arrays, config)[1]["schedule/lr"]
    steps = int(epochs * config["train"]["steps_per_epoch"])
    expected = config["train"]["lr"] * np.arange(steps + 1) / steps
    np.testing.assert_allclose(rates[: steps + 1], expected, atol=1e-7)
    # Of a third of a step, nothing is known.
    config["train"]["warmup_epochs"] = 0.3
    with pytest.raises(ValueError, match="inside a step"):
        mae._training(arrays, config)


def test_a_warm_up_of_all_steps():
    arrays, description = stored("mae")
    config = description["configuration"]
    settings = config["train"]
    settings["warmup_epochs"] = settings["epochs"]
    rates = mae._training(arrays, config)[1]["schedule/lr"]
    expected = settings["lr"] * np.arange(len(rates)) / len(rates)
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    schedule = warmup_cosine(2.0, 5, 5)
    rates = [float(schedule(step)) for step in range(5)]
    np.testing.assert_allclose(rates, np.linspace(0, 2, 5), atol=1e-6)


def compile_dino(arrays, config):
    model = dino.make_model(arrays, config, 0.04)
    dino._compile(model, arrays, config)
    return model.optimizer


def compile_dinov2(arrays, config):
    combination = dinov2_model.own_combination(config)
    model = dinov2_model.make_model(arrays, config, combination, 0.04)
    dinov2_training.compile_as_published(model, config)
    return model.optimizer


def compile_ibot(arrays, config):
    model = ibot.make_model(arrays, config)
    ibot._compile(model, config)
    return model.optimizer


def compile_ijepa(arrays, config):
    model = ijepa.make_model(arrays, config)
    ijepa._compile(model, arrays, config)
    return model.optimizer


def compile_simclr(arrays, config):
    model = simclr.make_model(arrays, config)
    simclr._compile(model, config)
    return model.optimizer


def compile_swav(arrays, config):
    model = swav.make_model(arrays, config)
    total_steps = config["epochs"] * config["steps_per_epoch"]
    return multi_crop_model.make_optimizer(model, config, total_steps, 4)


@pytest.mark.parametrize(
    ("method", "compile_model", "part", "name"),
    [
        ("dino", compile_dino, "configuration", "warmup_epochs"),
        ("dinov2", compile_dinov2, "configuration", "warmup_epochs"),
        ("ibot", compile_ibot, None, "warmup_epochs"),
        ("ijepa", compile_ijepa, None, "warmup"),
        ("simclr", compile_simclr, "configuration", "warmup_epochs"),
        ("swav", compile_swav, "configuration", "warmup_epochs"),
    ],
)
def test_each_optimizer_may_warm_up_all_the_time(
    method, compile_model, part, name
):
    arrays, description = stored(method)
    config = description[part] if part else description
    settings = config.get("optimization", config)
    settings[name] = settings["epochs"]
    optimizer = compile_model(arrays, config)
    rates = []
    for step in range(5):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    # Straight upwards.
    steps = np.diff(rates)
    assert steps[0] > 0
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


@pytest.mark.parametrize("warmup_epochs", [0, 1, 2])
def test_ibot_before_it_predicts_patches(warmup_epochs):
    _, config = stored("ibot")
    config |= {
        "pred_start_epoch": 2,
        "warmup_teacher_temp_epochs": warmup_epochs,
        "warmup_teacher_patch_temp": 0.04,
        "teacher_patch_temp": 0.07,
        "ipe": 1,
    }
    temperature = ibot_model.patch_temperature(config)
    values = [float(temperature(step)) for step in range(5)]
    rise = {0: [], 1: [0.04], 2: [0.04, 0.07]}[warmup_epochs]
    expected = [0.04, 0.04, *rise, 0.07, 0.07, 0.07][:5]
    np.testing.assert_allclose(values, expected, atol=1e-7)
