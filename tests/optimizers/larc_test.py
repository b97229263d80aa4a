import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.optimizers import LARC
from keras_capi.optimizers import Group
from keras_capi.optimizers import WarmupCosine

GENERATOR = np.random.default_rng(0)
WEIGHTS = [GENERATOR.normal(size=s).astype("float32") for s in ((3, 4), (4,))]
GRADIENTS = [
    [GENERATOR.normal(size=w.shape).astype("float32") for w in WEIGHTS]
    for _ in range(5)
]
RATES = [float(WarmupCosine(5.0, 5, truncate=1.0)(i)) for i in range(5)]


def reference(weight, gradients, decay=0.01, frozen=0):
    """What NVIDIA's apex makes of torch's SGD, in float64."""
    weight, moment = weight.astype("float64"), 0.0
    for step, gradient in enumerate(gradients):
        if step < frozen:
            continue
        size, slope = np.linalg.norm(weight), np.linalg.norm(gradient)
        if size > 0 and slope > 0:
            trust = 0.001 * size / (slope + decay * size + 1e-8)
            gradient = (gradient + decay * weight) * trust
        moment = 0.9 * moment + gradient
        weight = weight - RATES[step] * moment
    return weight


def train(optimizer, weights=WEIGHTS, gradients=GRADIENTS):
    variables = [keras.Variable(weight) for weight in weights]
    optimizer.assign_groups({"first": variables[:1]})
    optimizer.build(variables)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(x) for x in step])
    return [to_numpy(variable) for variable in variables]


def make(**arguments):
    rate = WarmupCosine(5.0, 5, truncate=1.0)
    return LARC(rate, **{"weight_decay": 0.01, **arguments})


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_equals_the_reference(scale):
    gradients = [[np.float32(scale) * x for x in step] for step in GRADIENTS]
    found = train(make(), gradients=gradients)
    for weight, value, *steps in zip(WEIGHTS, found, *gradients, strict=True):
        np.testing.assert_allclose(
            value, reference(weight, steps), rtol=1e-5, atol=1e-6
        )


def test_zeros_take_the_gradient_as_it_is():
    weights = [WEIGHTS[0], np.zeros_like(WEIGHTS[1])]
    gradients = [[np.zeros_like(g), h] for g, h in GRADIENTS]
    found = train(make(), weights, gradients)
    # No gradient, no decay.
    np.testing.assert_array_equal(found[0], weights[0])
    expected = reference(weights[1], [h for _, h in gradients])
    np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-6)


def test_frozen_variables_have_neither_decay_nor_momentum():
    groups = {"first": Group(frozen_steps=2)}
    found = train(make(groups=groups))
    for value, weight, frozen, *steps in zip(
        found, WEIGHTS, (2, 0), *GRADIENTS, strict=True
    ):
        np.testing.assert_allclose(
            value, reference(weight, steps, frozen=frozen), rtol=1e-5, atol=1e-6
        )
    before = train(make(groups=groups), gradients=GRADIENTS[:2])
    np.testing.assert_array_equal(before[0], WEIGHTS[0])


def test_multipliers_of_groups():
    groups = {
        "first": Group(learning_rate_multiplier=0, weight_decay_multiplier=0)
    }
    found = train(make(groups=groups))
    np.testing.assert_array_equal(found[0], WEIGHTS[0])
    with pytest.raises(ValueError, match="`groups` must have single numbers"):
        train(make(groups={"first": Group(learning_rate_multiplier=[1, 2, 3])}))


def test_config_and_state():
    optimizer = make(
        momentum=0.8,
        trust_coefficient=0.01,
        epsilon=1e-6,
        groups={"first": Group(frozen_steps=1)},
    )
    config = optimizer.get_config()
    clone = LARC.from_config(config)
    assert clone.get_config() == config
    for found, expected in zip(train(clone), train(optimizer), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"trust_coefficient": 0.0}, "trust_coefficient=0.0"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"groups": {"first": 1}}, "`groups` must be"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
