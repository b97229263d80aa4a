import copy

import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.optimizers import GridAdamW
from keras_capi.optimizers import WarmupCosine

RATES, DECAYS = (0.01, 0.02, 0.0), (0.0, 0.5, 0.1)


def torch_adamw(weights, gradients, rates, decay):
    """The update of `torch.optim.AdamW`, in float64."""
    weights, mean, square = weights.astype("float64"), 0.0, 0.0
    for step, (gradient, rate) in enumerate(
        zip(gradients, rates, strict=True), start=1
    ):
        gradient = gradient.astype("float64")
        weights = weights * (1 - rate * decay)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        root = np.sqrt(square) / np.sqrt(1 - 0.95**step)
        weights = weights - rate / (1 - 0.9**step) * mean / (root + 1e-8)
    return weights


@pytest.mark.parametrize("scale", [1.0, 1e-8])  # the latter as large as epsilon
@pytest.mark.parametrize("name, decays", [("kernel", DECAYS), ("bias", None)])
def test_equals_torch(scale, name, decays):
    generator = np.random.default_rng(0)
    initial = generator.normal(size=(3, 4, 2)).astype("float32")
    gradients = generator.normal(size=(12, 3, 4, 2)).astype("float32") * scale
    schedule = WarmupCosine(1.0, total_steps=12, warmup_steps=3)
    optimizer = GridAdamW(schedule, RATES, DECAYS)
    # A second variable, to see that each has its own moments and decay.
    other = keras.Variable(initial[:, 0], name="other_bias")
    variable = keras.Variable(initial, name=name)
    optimizer.build([other, variable])
    for gradient in gradients:
        optimizer.apply(
            [
                keras.ops.convert_to_tensor(gradient[:, 1]),
                keras.ops.convert_to_tensor(gradient),
            ]
        )
    factors = [float(to_numpy(schedule(step))) for step in range(12)]
    for index in range(3):
        expected = torch_adamw(
            initial[index],
            gradients[:, index],
            np.multiply(factors, RATES[index]),
            decays[index] if decays else 0.0,
        )
        np.testing.assert_allclose(
            to_numpy(variable)[index], expected, rtol=2e-5, atol=2e-6
        )


def test_config_round_trip():
    schedule = WarmupCosine(1.0, 10, 2)
    optimizer = GridAdamW(schedule, RATES, DECAYS, 0.8, 0.7, 1e-6)
    serialized = keras.saving.serialize_keras_object(optimizer)
    # A copy, as Keras writes into what it reads.
    clone = keras.saving.deserialize_keras_object(copy.deepcopy(serialized))
    assert keras.saving.serialize_keras_object(clone) == serialized
    config = clone.get_config()
    assert config["learning_rate_multipliers"] == list(RATES)
    assert config["weight_decays"] == list(DECAYS)
    assert (config["beta_1"], config["beta_2"]) == (0.8, 0.7)
    assert config["epsilon"] == 1e-6


def test_bad_arguments():
    with pytest.raises(ValueError, match="must have the same length"):
        GridAdamW(1.0, (0.1, 0.2), (0.0,))
    with pytest.raises(ValueError, match="first axis .* 3 entries.*name"):
        GridAdamW(1.0, RATES, DECAYS).build(
            [keras.Variable(np.zeros((2, 3), "float32"), name="name")]
        )
    for arguments, message in (
        ((-1.0, RATES, DECAYS), "learning_rate=-1.0"),
        ((1.0, -1, DECAYS), "learning_rate_multipliers=-1"),
        ((1.0, RATES, (0.1, -0.1, 0.0)), r"weight_decays=\(0.1, -0.1, 0.0\)"),
        ((1.0, RATES, DECAYS, 0.9, float("nan")), "beta_2=nan"),
    ):
        with pytest.raises(ValueError, match=message):
            GridAdamW(*arguments)
