import json

import keras
import numpy as np
import pytest
from conftest import REFERENCE
from helpers import to_numpy

from keras_capi.optimizers import EpochWarmup


def test_equals_the_authors_values():
    folder = REFERENCE / "methods"
    settings = json.loads((folder / "dino.json").read_text())["configuration"]
    schedule = EpochWarmup(
        settings["warmup_teacher_temp"],
        settings["teacher_temp"],
        settings["warmup_teacher_temp_epochs"],
        settings["steps_per_epoch"],
    )
    with np.load(folder / "dino.npz") as arrays:
        expected = arrays["schedule/teacher_temperature"]
    steps = keras.ops.arange(len(expected))
    np.testing.assert_allclose(to_numpy(schedule(steps)), expected, atol=1e-7)


def test_values_of_numpy():
    value = EpochWarmup(np.float64(0.1), np.float64(0.2), 3, 2)(1)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_equals_linspace():
    schedule = EpochWarmup(0.04, 0.07, 5, 3)
    values = [float(schedule(step)) for step in range(21)]
    expected = np.repeat([*np.linspace(0.04, 0.07, 5), 0.07, 0.07], 3)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert float(EpochWarmup(0.04, 0.07, 0, 3)(0)) == pytest.approx(0.07)


def test_config_round_trip():
    schedule = EpochWarmup(0.04, 0.07, 5, 3)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert copy.get_config() == schedule.get_config()


def test_bad_arguments():
    for arguments, message in (
        ((-1.0, 0.07, 5, 3), "start_value=-1.0"),
        ((0.04, "x", 5, 3), "final_value='x'"),
        ((0.04, 0.07, -1, 3), "warmup_epochs=-1"),
        ((0.04, 0.07, 5, 0), "steps_per_epoch=0"),
    ):
        with pytest.raises(ValueError, match=message):
            EpochWarmup(*arguments)
