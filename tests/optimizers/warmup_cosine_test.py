import json

import keras
import numpy as np
import pytest
from conftest import REFERENCE
from helpers import to_numpy

from keras_capi.optimizers import WarmupCosine


def published_schedule(base, total, warmup, start, final, truncate):
    """The published schedule, in float64."""
    steps = np.arange(total - warmup)
    cosine = np.cos(np.pi * truncate * steps / len(steps))
    return np.concatenate(
        [
            np.linspace(start, base, warmup),
            final + (base - final) / 2 * (1 + cosine),
        ]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (1e-3, 100, 10, 0.0, 0.0, 0.8),
        (0.999, 100, 10, 1.0, 1.0, 0.8),
        (5e-4, 50, 0, 0.0, 1e-5, 1.0),
        (2e-3, 7, 1, 1e-4, 0.0, 0.5),
        (1e-3, 500_000, 50_000, 0.0, 0.0, 0.8),
    ],
)
def test_equals_the_published_schedule(arguments):
    expected = published_schedule(*arguments)
    steps = np.unique(
        np.linspace(0, len(expected) - 1, min(len(expected), 200)).astype(int)
    )
    schedule = WarmupCosine(*arguments)
    values = to_numpy(schedule(keras.ops.convert_to_tensor(steps)))
    np.testing.assert_allclose(values, expected[steps], atol=1e-7, rtol=0)


def test_reference(reference, reference_config):
    for key, config in (
        ("lr", reference_config["schedules"]["lr"]),
        ("momentum", reference_config["schedules"]["momentum"]),
    ):
        schedule = WarmupCosine(
            config["base_value"],
            reference_config["steps"],
            config["warmup_iters"],
            config.get("start_warmup_value", 0.0),
            config["final_value"],
            config["truncate_cos"],
        )
        values = [float(to_numpy(schedule(step))) for step in range(12)]
        np.testing.assert_allclose(
            values, reference["schedule/" + key], atol=1e-7, rtol=0
        )


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_the_first_step_is_number_one(warmup):
    """As where a schedule moves on before it is read."""
    step = np.arange(1, 11)
    cosine = np.cos(np.pi * (step - warmup) / (10 - warmup))
    expected = np.where(
        step < warmup, 0.2 + step / max(warmup, 1) * 0.6, 0.45 + cosine * 0.35
    )
    schedule = WarmupCosine(
        0.8, 10, warmup, 0.2, 0.1, 1.0, warmup_endpoint=False, first_step=1
    )
    values = to_numpy(schedule(keras.ops.arange(12)))
    np.testing.assert_allclose(values[:10], expected, atol=1e-6)
    np.testing.assert_allclose(values[9:], 0.1, atol=1e-6)
    for number in (2, 0.5, True):
        with pytest.raises(ValueError, match="`first_step` must be 0 or 1"):
            WarmupCosine(0.8, 10, first_step=number)


@pytest.mark.parametrize("method", ["mae", "dino"])
def test_schedules_of_methods(method):
    folder = REFERENCE / "methods"
    settings = json.loads((folder / f"{method}.json").read_text())
    settings = settings["configuration"]
    settings = {**settings, **settings.get("train", {})}
    total, warmup = (
        settings[name] * settings["steps_per_epoch"]
        for name in ("epochs", "warmup_epochs")
    )
    schedules = {
        "lr": WarmupCosine(
            settings["lr"],
            total,
            warmup,
            final_value=settings["min_lr"],
            truncate=1.0,
            warmup_endpoint=method == "dino",
        )
    }
    if method == "dino":
        for name, start, final in (
            ("weight_decay", "weight_decay", settings["weight_decay_end"]),
            ("momentum", "momentum_teacher", 1.0),
        ):
            schedules[name] = WarmupCosine(
                settings[start], total, final_value=final, truncate=1.0
            )
    with np.load(folder / f"{method}.npz") as arrays:
        for name, schedule in schedules.items():
            expected = arrays["schedule/" + name]
            values = to_numpy(schedule(keras.ops.arange(len(expected))))
            np.testing.assert_allclose(values, expected, atol=1e-7, rtol=0)


def test_keeps_the_last_value():
    schedule = WarmupCosine(1.0, 10, 2)
    assert float(schedule(9)) == float(schedule(1000)) > 0


def test_config_round_trip():
    schedule = WarmupCosine(1.0, 10, 2, 0.1, 0.2, 0.7, False)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert copy.get_config() == schedule.get_config()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"total_steps": 0}, "total_steps=0"),
        ({"total_steps": 10, "warmup_steps": 10}, "warmup_steps=10"),
        ({"total_steps": 10, "warmup_steps": -1}, "warmup_steps=-1"),
        ({"total_steps": 10, "truncate": 0.0}, "truncate=0.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmupCosine(1.0, **arguments)
