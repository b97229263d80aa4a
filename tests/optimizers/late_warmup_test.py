import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.optimizers import LateWarmup
from keras_capi.optimizers import WarmupCosine


def values(schedule, steps):
    return [float(to_numpy(schedule(step))) for step in range(steps)]


def make_steps():
    return keras.optimizers.schedules.PiecewiseConstantDecay([5], [1.0, 0.1])


def test_one_update_late():
    schedule = LateWarmup(make_steps(), 4, start_value=0.2)
    # Of t = 0, 0, 1 ...; the milestone is at t = 6.
    expected = [0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.1, 0.1]
    np.testing.assert_allclose(values(schedule, 9), expected, rtol=1e-6)


def test_the_schedule_counts_the_warmup():
    cosine = WarmupCosine(1.0, 10, final_value=0.1, truncate=1.0)
    schedule = LateWarmup(cosine, 3)
    np.testing.assert_allclose(
        values(schedule, 10)[4:], values(cosine, 9)[3:], rtol=1e-6
    )


def test_without_warmup():
    schedule = LateWarmup(make_steps(), start_value=0.2)
    np.testing.assert_allclose(values(schedule, 3), [1.0] * 3)


def test_config():
    schedule = LateWarmup(make_steps(), 4, start_value=0.2)
    config = keras.saving.serialize_keras_object(schedule)
    clone = keras.saving.deserialize_keras_object(config)
    assert values(clone, 9) == values(schedule, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0,), "`schedule` must be a Keras schedule.*1.0"),
        ((make_steps(), -1), "`warmup_steps`.*-1"),
        ((make_steps(), 1, -1.0), "`start_value`.*-1.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LateWarmup(*arguments)
