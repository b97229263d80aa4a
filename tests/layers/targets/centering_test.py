import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import Centering

SCORES = np.random.default_rng(0).normal(size=(4, 2, 5)).astype("float32")

CASE = battery.Case(
    Centering,
    {"temperature": 0.1, "momentum": 0.8},
    (SCORES,),
    battery.Output((4, 2, 5), "float32"),
    non_trainable={"center": (5,), "current_temperature": ()},
    symbolic_shapes=((None, 5),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_a_momentum_of_numpy():
    """Of 64 bits, by which TensorFlow multiplies no float32."""
    outputs = []
    for momentum in (0.75, np.float64(0.75)):
        layer = Centering(momentum=momentum)
        layer(SCORES, training=True)
        outputs.append(to_numpy(layer.center))
    np.testing.assert_array_equal(*outputs)


def test_the_center_moves_after_its_use():
    layer = Centering(temperature=0.5, momentum=0.75)
    for _ in range(2):
        # Only in training.
        first = to_numpy(layer(SCORES))
    np.testing.assert_allclose(first, softmax(SCORES / 0.5), atol=1e-6)
    np.testing.assert_array_equal(to_numpy(layer.center), 0.0)
    first = to_numpy(layer(SCORES, training=True))
    np.testing.assert_allclose(first, softmax(SCORES / 0.5), atol=1e-6)
    center = 0.25 * SCORES.mean(axis=(0, 1))
    np.testing.assert_allclose(to_numpy(layer.center), center, atol=1e-6)
    second = to_numpy(layer(SCORES, training=True))
    np.testing.assert_allclose(
        second, softmax((SCORES - center) / 0.5), atol=1e-5
    )


def test_the_temperature_can_be_set():
    layer = Centering(temperature=0.5)
    layer(SCORES)
    layer.assign_temperature(0.25)
    np.testing.assert_allclose(
        to_numpy(layer(SCORES)), softmax(SCORES / 0.25), atol=1e-5
    )


def test_padded_scores_do_not_move_the_center():
    layer = Centering(momentum=0.75)
    valid = np.array([[True, False]] * 4)
    layer(SCORES, valid=valid, training=True)
    center = 0.25 * SCORES[:, 0].mean(axis=0)
    np.testing.assert_allclose(to_numpy(layer.center), center, atol=1e-6)
    layer(SCORES, valid=np.zeros((4, 2), bool), training=True)
    np.testing.assert_allclose(to_numpy(layer.center), center, atol=1e-6)
