import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.optimizers import LARS
from keras_capi.optimizers import Group
from keras_capi.optimizers import WarmupCosine

EXCLUDED = {"vectors": Group(weight_decay_multiplier=0.0)}
SCHEDULE = WarmupCosine(2.0, 6, 2, truncate=1.0, warmup_endpoint=False)


def initial(dtype="float32"):
    generator = np.random.default_rng(0)
    return {
        "kernel": generator.normal(size=(3, 4)).astype(dtype),
        "bias": generator.normal(size=(3,)).astype(dtype),
        "zeros": np.zeros((2, 2), dtype),
    }


def gradients():
    generator = np.random.default_rng(1)
    return [
        {
            name: generator.normal(size=value.shape).astype("float32")
            for name, value in initial().items()
        }
        for _ in range(5)
    ]


def make(values, optimizer):
    variables = {k: keras.Variable(v, name=k) for k, v in values.items()}
    optimizer.assign_groups({"vectors": [variables["bias"]]})
    optimizer.build(list(variables.values()))
    return variables


def apply(optimizer, step):
    optimizer.apply([keras.ops.convert_to_tensor(x) for x in step.values()])


def reference(values, steps, rates):
    """LARS as the specification has it, in float64."""
    results = {}
    for name, weight in values.items():
        weight, moment = weight.astype("float64"), 0.0
        for step, rate in zip(steps, rates, strict=True):
            gradient = step[name].astype("float64")
            if name != "bias":
                gradient = gradient + 0.1 * weight
                size = np.linalg.norm(weight)
                if size > 0:
                    rate = rate * 0.01 * size / np.linalg.norm(gradient)
            moment = 0.8 * moment + rate * gradient
            weight = weight - moment
        results[name] = weight
    return results


@pytest.mark.parametrize("rate", [0.5, SCHEDULE])
def test_equals_the_reference(rate):
    optimizer = LARS(rate, 0.1, 0.8, 0.01, groups=EXCLUDED)
    variables = make(initial(), optimizer)
    for step in gradients():
        apply(optimizer, step)
    rates = [float(rate(i)) if callable(rate) else rate for i in range(5)]
    for name, expected in reference(initial(), gradients(), rates).items():
        np.testing.assert_allclose(
            to_numpy(variables[name]), expected, rtol=1e-5, atol=1e-6
        )


def test_a_gradient_of_zero():
    optimizer = LARS(1.0, 0.0)
    variables = make(initial(), optimizer)
    apply(optimizer, {k: np.zeros_like(v) for k, v in initial().items()})
    for name, value in initial().items():
        np.testing.assert_array_equal(to_numpy(variables[name]), value)


def test_frozen_steps_and_accumulation():
    groups = {"vectors": Group(weight_decay_multiplier=0.0, frozen_steps=1)}
    optimizer = LARS(0.5, groups=groups, gradient_accumulation_steps=2)
    variables = make(initial(), optimizer)
    step = {k: np.ones_like(v) for k, v in initial().items()}
    bias = initial()["bias"]
    for expected in (bias, bias, bias, bias - 0.5):
        apply(optimizer, step)
        np.testing.assert_allclose(
            to_numpy(variables["bias"]), expected, rtol=1e-6
        )
    assert (to_numpy(variables["kernel"]) != initial()["kernel"]).all()


def test_config_and_settings():
    optimizer = LARS(SCHEDULE, 0.1, 0.8, 0.01, EXCLUDED, 2, name="lars")
    config = optimizer.get_config()
    clone = LARS.from_config(config)
    assert clone.get_config() == config
    assert clone.groups == EXCLUDED
    plain = LARS(0.5)
    plain.learning_rate = 0.25
    assert float(to_numpy(plain.learning_rate)) == 0.25
    with pytest.raises(ValueError, match="follows a schedule"):
        optimizer.learning_rate = 0.5


def test_half_precision_state_does_not_overflow():
    values = {k: 100.0 * v for k, v in initial("float16").items()}
    optimizer = LARS(0.5)
    variables = make(values, optimizer)
    apply(optimizer, {k: v.astype("float16") for k, v in values.items()})
    moved = to_numpy(variables["kernel"]).astype("float32")
    np.testing.assert_allclose(
        moved, values["kernel"] * (1 - 0.5 * 0.001), rtol=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, "`momentum` must be"),
        ({"trust_coefficient": 0.0}, "`trust_coefficient` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LARS(**arguments)


def test_one_trust_for_a_variable():
    groups = {"vectors": Group(learning_rate_multiplier=(1.0, 2.0, 3.0))}
    with pytest.raises(ValueError, match="must have single numbers"):
        make(initial(), LARS(groups=groups))
