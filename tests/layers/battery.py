"""One battery of checks that all layers share.

A test module describes a layer in a `Case` and runs every check on it:

```
@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)
```
"""

import dataclasses
import json
import tempfile

import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from backend_helpers import compile_layer
from helpers import to_numpy
from keras import tree


@dataclasses.dataclass(frozen=True)
class Output:
    """What one output of a layer looks like.

    Attributes:
        shape: Tuple of integers, with the batch.
        dtype: String; `None` is the compute dtype of the layer.
        has_batch: Boolean. Whether the first axis is that of the batch.
    """

    shape: tuple
    dtype: str | None = None
    has_batch: bool = True


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, an input and what should come out.

    Attributes:
        layer_class: The class.
        arguments: Dictionary, what the constructor takes.
        inputs: Tuple of arrays, the positional arguments of the call.
        outputs: Structure of `Output`s.
        trainable: Dictionary from the paths of the trainable weights, below the
            layer, to their shapes.
        non_trainable: Likewise, without the state of random generators.
        symbolic_shapes: Shapes of the symbolic inputs without the batch, `None`
            where a size is unknown. Defaults to the shapes of `inputs`.
        is_random: Boolean. Whether two calls differ.
        training: Boolean. The mode to call the layer in.
        tolerance: Float. How far the outputs in bfloat16 may be from those in
            float32, relative to the largest.
    """

    layer_class: type
    arguments: dict
    inputs: tuple
    outputs: object
    trainable: dict = dataclasses.field(default_factory=dict)
    non_trainable: dict = dataclasses.field(default_factory=dict)
    symbolic_shapes: tuple | None = None
    is_random: bool = False
    training: bool = False
    tolerance: float = 0.02

    def make(self, **overrides):
        return self.layer_class(**{**self.arguments, **overrides})

    def call(self, layer):
        # A layer whose `call` has no such argument passes it on to its parts.
        return layer(*self.inputs, training=self.training)

    def make_model(self):
        """Returns a functional model around a new layer, and its inputs."""
        shapes = self.symbolic_shapes
        if shapes is None:
            shapes = [array.shape[1:] for array in self.inputs]
        symbolic = [
            keras.Input(shape, dtype=str(array.dtype))
            for shape, array in zip(shapes, self.inputs, strict=True)
        ]
        return keras.Model(symbolic, self.make()(*symbolic))

    def run_model(self, model):
        return model(list(self.inputs), training=self.training)


def check_config_round_trip(case):
    layer = case.make(name="under_test")
    config = layer.get_config()
    missing = set(case.arguments) - set(config)
    assert not missing, f"the config forgets {missing}"
    for name, value in case.arguments.items():
        assert config[name] == value
    clone = case.layer_class.from_config(config)
    assert clone.get_config() == config
    serialized = json.loads(
        json.dumps(keras.saving.serialize_keras_object(layer))
    )
    clone = keras.saving.deserialize_keras_object(serialized)
    assert type(clone) is case.layer_class
    assert clone.get_config() == config
    case.call(layer)
    assert layer.get_config() == config, "a call changed the config"


def check_eager_call(case):
    layer = case.make()
    _check_outputs(case, layer, case.call(layer))


def check_weights(case):
    layer = case.make()
    case.call(layer)
    assert _shapes(layer.trainable_weights) == case.trainable
    assert _shapes(layer.non_trainable_weights) == case.non_trainable


def check_functional_model(case):
    model = case.make_model()
    tree.assert_same_structure(case.outputs, model.output)
    for expected, symbolic in _pairs(case.outputs, model.output):
        shape = expected.shape
        if expected.has_batch:
            shape = (None, *shape[1:])
        assert len(symbolic.shape) == len(shape)
        for size, known in zip(symbolic.shape, shape, strict=True):
            assert size == known or (size is None and case.symbolic_shapes)
        assert symbolic.dtype == (expected.dtype or "float32")
    outputs = case.run_model(model)
    layer = model.layers[-1]
    _check_outputs(case, layer, outputs)
    if not case.is_random:
        assert_same(outputs, case.call(layer))


def check_graph_of_unknown_batch(case):
    if BACKEND != "tensorflow":
        pytest.skip("only TensorFlow compiles for a batch of unknown size")
    layer = case.make()
    expected = case.call(layer)
    compiled = compile_layer(layer, "graph", True, training=case.training)
    outputs = compiled(*case.inputs)
    _check_outputs(case, layer, outputs)
    if not case.is_random:
        assert_same(outputs, expected, atol=1e-5)


def check_saved_model(case):
    model = case.make_model()
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        clone = keras.saving.load_model(f"{folder}/model.keras")
    # Random layers too: the state of their generators is saved.
    assert_same(case.run_model(clone), case.run_model(model))


def check_saved_weights(case):
    model = case.make_model()
    clone = keras.Model.from_config(model.get_config())
    # Other random numbers in the clone, so that it must load the model's.
    case.run_model(clone)
    for weight in clone.weights:
        weight.assign(weight + 1.0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(f"{folder}/model.weights.h5")
        clone.load_weights(f"{folder}/model.weights.h5")
    assert_same(case.run_model(clone), case.run_model(model))


def check_mixed_precision(case):
    exact = case.make()
    layer = case.make(dtype="mixed_bfloat16")
    # The first call builds; the second draws the same numbers for both.
    case.call(exact)
    case.call(layer)
    layer.set_weights(exact.get_weights())
    expected = case.call(exact)
    outputs = case.call(layer)
    _check_outputs(case, layer, outputs)
    for weight in layer.weights:
        dtype = keras.backend.standardize_dtype(weight.dtype)
        assert dtype in ("float32", "int32")
    for value, other in _pairs(outputs, expected):
        value, other = (
            to_numpy(keras.ops.cast(x, "float32")) for x in (value, other)
        )
        assert np.abs(value - other).max() <= (
            case.tolerance * np.abs(other).max()
        )


CHECKS = [
    check_config_round_trip,
    check_eager_call,
    check_weights,
    check_functional_model,
    check_graph_of_unknown_batch,
    check_saved_model,
    check_saved_weights,
    check_mixed_precision,
]


def assert_same(structure, other, atol=1e-6):
    # A reloaded functional model returns lists for tuples.
    for value, expected in _pairs(structure, other):
        np.testing.assert_allclose(
            to_numpy(value), to_numpy(expected), rtol=1e-5, atol=atol
        )


def _check_outputs(case, layer, outputs):
    tree.assert_same_structure(case.outputs, outputs)
    for expected, output in _pairs(case.outputs, outputs):
        assert tuple(output.shape) == expected.shape
        dtype = keras.backend.standardize_dtype(output.dtype)
        assert dtype == (expected.dtype or layer.compute_dtype)


def _shapes(weights):
    return {w.path.split("/", 1)[1]: tuple(w.shape) for w in weights}


def _pairs(structure, other):
    return zip(tree.flatten(structure), tree.flatten(other), strict=True)
