import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.evaluation.probes.probe_schedule import ProbeSchedule


def value(schedule, step):
    return float(to_numpy(schedule(step)))


def test_published_values():
    schedule = ProbeSchedule(12500)
    assert value(schedule, 0) == 0.0
    assert value(schedule, 1) == pytest.approx(1 / 1249)
    assert value(schedule, 1249) == 1.0  # the last of the warm-up
    assert value(schedule, 1250) == 1.0  # the first of the cosine
    halfway = 1250 + 11249 / 2
    assert value(schedule, int(halfway)) == pytest.approx(0.5, abs=1e-4)
    quarter = (1 + np.cos(np.pi * 2812 / 11249)) / 2
    assert value(schedule, 1250 + 2812) == pytest.approx(quarter, abs=1e-6)
    assert value(schedule, 12499) == 0.0
    assert value(schedule, 12500) == 0.0


def test_few_steps():
    assert [value(ProbeSchedule(1), 0)] == [1.0]
    steps = [value(ProbeSchedule(3), step) for step in range(3)]
    np.testing.assert_allclose(steps, [1.0, 0.5, 0.0], atol=1e-7)


def test_config_round_trip():
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ProbeSchedule(20))
    )
    assert clone.get_config() == {"num_steps": 20}


def test_bad_steps():
    with pytest.raises(ValueError, match="num_steps=0"):
        ProbeSchedule(0)
