import copy
import functools

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import to_numpy

from keras_capi.models import CAPIClassifier
from keras_capi.optimizers import AdamW
from keras_capi.optimizers import LayerDecayAdamW

LEARNING_RATE, DECAY, WEIGHT_DECAY = 0.01, 0.5, 0.1


def first_update(optimizer):
    """Weights before and after a step, and the sign of their gradients."""
    keras.utils.set_random_seed(0)
    model = CAPIClassifier(make_backbone(num_layers=2), 2)
    before = {v.path: to_numpy(v) for v in model.trainable_variables}
    model.compile(
        optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.train_on_batch(make_images(4), np.array([0, 1, 1, 0]))
    after = {v.path: to_numpy(v) for v in model.trainable_variables}
    return before, after


@functools.cache
def decayed_update():
    """That of an optimizer with all that it has."""
    return first_update(LayerDecayAdamW(LEARNING_RATE, 2, DECAY, WEIGHT_DECAY))


@pytest.mark.parametrize(
    ("part", "distance"),
    [
        ("patch_embedding/kernel", 3),
        ("patch_embedding/bias", 3),
        ("encoder/block_0/mlp_output/kernel", 2),
        ("encoder/block_1/attention/output_projection/kernel", 1),
        ("encoder/block_1/mlp_norm/scale", 1),
        ("predictor/block_0/mlp_output/kernel", 1),
        ("classifier/kernel", 0),
        ("classifier/bias", 0),
    ],
)
def test_first_step(part, distance):
    """Adam's first step is the rate in every entry, whatever the gradient."""
    before, after = decayed_update()
    (path,) = (path for path in before if path.endswith(part))
    rate = LEARNING_RATE * DECAY**distance
    kept = before[path]
    if kept.ndim > 1:
        kept = kept * (1 - rate * WEIGHT_DECAY)
    step = np.abs(after[path] - kept)
    np.testing.assert_allclose(np.median(step), rate, rtol=1e-3)


def test_without_decay_it_is_adamw():
    ours = first_update(LayerDecayAdamW(LEARNING_RATE, 2, 1.0, 0.0))[1]
    plain = first_update(AdamW(LEARNING_RATE, 0.0))[1]
    for path, value in ours.items():
        np.testing.assert_allclose(value, plain[path], atol=1e-6)


def test_config_round_trip():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = LayerDecayAdamW(schedule, 5, 0.6, 0.02, beta_2=0.9)
    serialized = keras.saving.serialize_keras_object(optimizer)
    # A copy, as Keras writes into what it reads.
    clone = keras.saving.deserialize_keras_object(copy.deepcopy(serialized))
    assert keras.saving.serialize_keras_object(clone) == serialized
    config = clone.get_config()
    assert config["layer_decay"] == 0.6
    assert config["num_layers"] == 5


@pytest.mark.parametrize("num_layers", [1, 24])
def test_number_of_layers_is_checked(num_layers):
    model = CAPIClassifier(make_backbone(num_layers=2), 2)
    with pytest.raises(ValueError, match=f"{num_layers} for 2 blocks"):
        model.compile(LayerDecayAdamW(num_layers=num_layers), "mse")


def test_callbacks_set_the_rate():
    model = CAPIClassifier(make_backbone(), 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.25)
    data = (make_images(4), np.array([0, 1, 1, 0]))
    model.compile(LayerDecayAdamW(1e-3, 1), loss)
    model.fit(*data, callbacks=callback, verbose=0)
    assert float(model.optimizer.learning_rate) == 0.25
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    model.compile(LayerDecayAdamW(schedule, 1), loss)
    with pytest.raises(ValueError, match="sets the learning rate, but"):
        model.fit(*data, callbacks=callback, verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layer_decay": 0.0}, r"`layer_decay` must be in \(0, 1\]"),
        ({"learning_rate": -0.1}, "learning_rate=-0.1"),
        ({"num_layers": 1.5}, "num_layers=1.5"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"beta_1": 1.0}, "beta_1=1.0"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerDecayAdamW(**arguments)
