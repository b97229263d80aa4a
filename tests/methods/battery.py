"""What every method must pass, on every backend.

A test module describes a method in a `Case` and runs every check on it. The
checks share what `battery.train` returns, since to compile a training step is
what takes time:

```
@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
```
"""

import collections.abc
import dataclasses
import inspect
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from helpers import weights_of
from keras import tree

from keras_capi.callbacks import Checkpoint
from keras_capi.data import RandomCrops

SIZE = 16
BATCH = 4
STEPS = 2
EPOCHS = 2
# Not square, with other sizes and another number of channels.
OTHER_SHAPE = (16, 24, 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A method, how small ones are made, and what it takes.

    Attributes:
        make: Function `(image_shape=(16, 16, 3), **arguments)` that returns a
            small model with patches of 4, not compiled, without stochastic
            depth.
        own_inputs: Function `(count, seed=0)` that returns the method's whole
            dictionary of inputs for so many images, so that nothing is drawn.
            The images are the same with each seed, where there are any.
        optimizer: Function from the model to its published optimizer, which
            must go on schedule for `EPOCHS * STEPS` updates.
        log_names: Set of the names that a training logs.
        arguments: Dictionary of constructor arguments other than the defaults.
        learnt: Float. The share of its first loss below which the method gets
            on one batch.
        rate: Float. The learning rate for that, of Adam.
        normalizes_by_batch: Boolean. Whether losses differ between training and
            evaluation, as batch normalisation has it.
    """

    make: collections.abc.Callable
    own_inputs: collections.abc.Callable
    optimizer: collections.abc.Callable
    log_names: frozenset
    arguments: dict = dataclasses.field(default_factory=dict)
    learnt: float = 0.8
    rate: float = 1e-2
    normalizes_by_batch: bool = False

    def compiled(self, **arguments):
        """Returns the model with its published optimizer, from one seed."""
        keras.utils.set_random_seed(0)
        model = self.make(**arguments)
        model.compile(self.optimizer(model))
        return model


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model after a few steps, and what came of them.

    Attributes:
        model: The model.
        weights: List of its weights.
        history: Dictionary of what was logged in each epoch.
        num_steps: Integer. How many steps were made here.
        crashed: Path of the checkpoints as they were in the midst of the second
            epoch. A process that is killed there leaves them.
    """

    model: keras.Model
    weights: list
    history: dict
    num_steps: int
    crashed: pathlib.Path


def train(case, folder):
    """Trains a fresh model, which goes on from what is in the folder.

    Args:
        case: `Case`.
        folder: Path of the checkpoints.

    Returns:
        `Trained`.
    """
    model = case.compiled()
    crops = RandomCrops(
        list(make_images(3, SIZE + 4, SIZE + 8)), SIZE, BATCH, STEPS, seed=0
    )
    crashed = folder.with_name(f"{folder.name}-crashed")
    begun = []

    def copy(batch, logs):
        if len(begun) == STEPS + 1:
            # Not the lock, which the process loses when it closes the file.
            ignored = shutil.ignore_patterns("lock")
            shutil.copytree(folder, crashed, ignore=ignored)
        begun.append(batch)

    history = model.fit(
        crops,
        epochs=EPOCHS,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_begin=copy),
            Checkpoint(folder, crops, every=1),
        ],
        verbose=0,
    ).history
    return Trained(model, weights_of(model), history, len(begun), crashed)


def check_logs(case, trained, folder):
    assert set(trained.history) == case.log_names
    for values in trained.history.values():
        assert np.isfinite(values).all()
        assert len(values) == EPOCHS
    assert all(np.isfinite(weight).all() for weight in trained.weights)


def check_predict_gives_features(case, trained, folder):
    images = make_images(6, SIZE, SIZE)
    features = trained.model.predict(images, batch_size=3, verbose=0)
    assert features["feature_map"].shape[:3] == (6, 4, 4)
    assert features["global"].shape[0] == 6
    # Of a batch, for which the prediction is compiled already.
    images = images[3:]
    features = tree.map_structure(lambda feature: feature[3:], features)
    for other in (
        trained.model.predict_on_batch(images),
        trained.model(images),
        trained.model.encoder(images),
    ):
        assert_same(other, features, 1e-5)


def check_config_round_trip(case, trained, folder):
    method = type(trained.model)
    model = case.make(**case.arguments, name="under_test")
    config = model.get_config()
    missing = set(inspect.signature(method).parameters) - {*config, "kwargs"}
    assert not missing, f"the config forgets {missing}"
    for name, value in case.arguments.items():
        assert config[name] == value
    config = json.loads(json.dumps(config))
    assert json.loads(json.dumps(method.from_config(config).get_config())) == (
        config
    )
    serialized = json.loads(
        json.dumps(keras.saving.serialize_keras_object(model))
    )
    clone = keras.saving.deserialize_keras_object(serialized)
    assert type(clone) is method
    assert json.loads(json.dumps(clone.get_config())) == config


def check_saved_model(case, trained, folder):
    """A model that is loaded predicts as the saved one, and trains on."""
    trained.model.save(folder / "model.keras")
    clone = keras.saving.load_model(folder / "model.keras")
    assert_same(weights_of(clone), weights_of(trained.model), 0)
    state, loaded = (
        [to_numpy(variable) for variable in model.optimizer.variables]
        for model in (trained.model, clone)
    )
    assert_same(loaded, state, 0)
    images = make_images(3, SIZE, SIZE)
    assert_same(
        clone.predict(images, verbose=0),
        trained.model.predict(images, verbose=0),
        1e-5,
    )


def check_saved_weights(case, trained, folder):
    trained.model.save_weights(folder / "model.weights.h5")
    keras.utils.set_random_seed(1)
    clone = case.make()
    assert any(
        not np.array_equal(weight, other)
        for weight, other in zip(
            weights_of(clone), weights_of(trained.model), strict=True
        )
    )
    clone.load_weights(folder / "model.weights.h5")
    assert_same(weights_of(clone), weights_of(trained.model), 0)


def check_goes_on_after_a_crash(case, trained, folder):
    """Bit for bit as if nothing had happened, in the midst of an epoch."""
    assert trained.num_steps == EPOCHS * STEPS
    resumed = train(case, trained.crashed)
    assert resumed.num_steps == STEPS - 1
    assert_same(resumed.weights, trained.weights, 0)


def check_own_inputs(case, trained, folder):
    """What is given is used, so that nothing is left to chance."""
    first, again, other = (
        trained.model.test_on_batch(inputs, return_dict=True)
        for inputs in (
            case.own_inputs(BATCH),
            case.own_inputs(BATCH),
            case.own_inputs(BATCH, seed=1),
        )
    )
    assert first == again
    assert first["loss"] != other["loss"]


def check_learns_in_bfloat16(case, trained, folder):
    """It starts from the loss that float32 has, and falls on one batch."""
    inputs = case.own_inputs(BATCH)
    expected = trained.model.test_on_batch(inputs, return_dict=True)["loss"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = case.make()
    model.set_weights(trained.model.get_weights())
    kinds = {keras.backend.standardize_dtype(w.dtype) for w in model.weights}
    assert "bfloat16" not in kinds
    model.compile(keras.optimizers.Adam(case.rate))
    first = model.test_on_batch(inputs)[0] if case.normalizes_by_batch else 0
    losses = [model.train_on_batch(inputs)[0] for _ in range(40)]
    assert (first or losses[0]) == pytest.approx(expected, rel=0.05)
    assert np.mean(losses[-3:]) < case.learnt * losses[0]
    features = model.predict_on_batch(make_images(2, SIZE, SIZE))
    kind = keras.backend.standardize_dtype(features["global"].dtype)
    assert kind == "bfloat16"


def check_other_images(case, trained, folder):
    keras.utils.set_random_seed(0)
    model = case.make(image_shape=OTHER_SHAPE)
    # Quickly compiled: the published one sees no more of images than weights.
    model.compile("sgd")
    images = make_images(BATCH, *OTHER_SHAPE)
    assert np.isfinite(model.train_on_batch(images)[0])
    features = model.predict_on_batch(images)
    assert features["feature_map"].shape[:3] == (BATCH, 4, 6)


CHECKS = [
    check_logs,
    check_predict_gives_features,
    check_config_round_trip,
    check_saved_weights,
    check_saved_model,
    check_goes_on_after_a_crash,
    check_own_inputs,
    check_learns_in_bfloat16,
    check_other_images,
]


def assert_same(structure, other, tolerance):
    tree.assert_same_structure(structure, other)
    for value, expected in zip(
        tree.flatten(structure), tree.flatten(other), strict=True
    ):
        np.testing.assert_allclose(
            to_numpy(value), to_numpy(expected), rtol=0, atol=tolerance
        )
