import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.training.mean_of_each import MAX_VALUES
from keras_capi.training.mean_of_each import MeanOfEach


def scalars(**values):
    return {name: ops.convert_to_tensor(x) for name, x in values.items()}


def results(means):
    return {name: float(to_numpy(x)) for name, x in means.result().items()}


def test_means_are_weighted():
    means = MeanOfEach()
    means.update_state(scalars(loss=3.0, entropy=1.0), 4)
    means.update_state(scalars(loss=6.0, entropy=2.0), ops.convert_to_tensor(2))
    assert results(means) == pytest.approx({"loss": 4.0, "entropy": 4 / 3})
    means.reset_state()
    assert results(means) == {"loss": 0.0, "entropy": 0.0}


def test_a_mean_is_over_the_batches_that_have_the_value():
    means = MeanOfEach()
    means.update_state(scalars(loss=3.0), 4)
    means.update_state(scalars(other=5.0), 2)
    means.update_state(scalars(loss=6.0, other=7.0), 2)
    assert results(means) == pytest.approx({"loss": 4.0, "other": 6.0})


def test_one_bad_value_leaves_the_others():
    means = MeanOfEach()
    means.update_state(scalars(loss=np.nan, other=1.0), 4)
    means.update_state(scalars(other=3.0), 4)
    assert np.isnan(results(means)["loss"])
    assert results(means)["other"] == 2.0


def test_sums_of_a_long_epoch_in_half_precision():
    former = keras.config.floatx()
    keras.config.set_floatx("float16")
    try:
        means = MeanOfEach()
        for _ in range(3):
            means.update_state(scalars(loss=10.0), 30_000)
    finally:
        keras.config.set_floatx(former)
    assert results(means) == {"loss": 10.0}


def test_room_for_values():
    means = MeanOfEach()
    values = {f"value_{i}": float(i) for i in range(MAX_VALUES)}
    means.update_state(scalars(**values), 3)
    assert results(means) == values
    message = f"at most {MAX_VALUES} values. Received: {MAX_VALUES + 1}"
    with pytest.raises(ValueError, match=message):
        means.update_state(scalars(one_more=1.0), 3)
