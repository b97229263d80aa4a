import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.optimizers import SGD
from keras_capi.optimizers import Group
from keras_capi.optimizers import WarmupCosine

GENERATOR = np.random.default_rng(0)
WEIGHTS = [GENERATOR.normal(size=s).astype("float32") for s in ((3, 4), (4,))]
GRADIENTS = [
    [GENERATOR.normal(size=w.shape).astype("float32") for w in WEIGHTS]
    for _ in range(5)
]
RATES = [float(WarmupCosine(0.5, 5, truncate=1.0)(i)) for i in range(5)]


def reference(weight, gradients, momentum=0.9, frozen=0):
    """torch's SGD, in float64."""
    weight, moment = weight.astype("float64"), 0.0
    for step, gradient in enumerate(gradients):
        if step < frozen:
            continue
        moment = momentum * moment + gradient + 0.01 * weight
        weight = weight - RATES[step] * moment
    return weight


def make(**arguments):
    rate = WarmupCosine(0.5, 5, truncate=1.0)
    return SGD(rate, **{"weight_decay": 0.01, **arguments})


def train(optimizer, gradients=GRADIENTS):
    variables = [keras.Variable(weight) for weight in WEIGHTS]
    optimizer.assign_groups({"first": variables[:1]})
    optimizer.build(variables)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(x) for x in step])
    return [to_numpy(variable) for variable in variables]


@pytest.mark.parametrize(
    "arguments, first",
    [
        ({}, {}),
        ({"groups": {"first": Group(frozen_steps=2)}}, {"frozen": 2}),
        (
            {"groups": {"first": Group()}, "without_momentum": ("first",)},
            {"momentum": 0},
        ),
    ],
    ids=["plain", "frozen", "without momentum"],
)
def test_equals_torch(arguments, first):
    found = train(make(**arguments))
    for value, weight, options, *steps in zip(
        found, WEIGHTS, (first, {}), *GRADIENTS, strict=True
    ):
        np.testing.assert_allclose(
            value, reference(weight, steps, **options), rtol=1e-5, atol=1e-6
        )


def test_config_and_errors():
    optimizer = make(groups={"first": Group()}, without_momentum=["first"])
    clone = SGD.from_config(optimizer.get_config())
    for value, expected in zip(train(clone), train(optimizer), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert clone.without_momentum == ("first",)
    with pytest.raises(ValueError, match="`without_momentum` must name some"):
        make(without_momentum=("first",))
    with pytest.raises(ValueError, match="`without_momentum` must name some"):
        make(without_momentum=3)
    with pytest.raises(ValueError, match="momentum=1.0"):
        make(momentum=1.0)
