import numpy as np
import pytest
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi.ops import entropy
from keras_capi.ops import soft_cross_entropy

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(2, 3, 5)).astype("float32")
TARGETS = GENERATOR.dirichlet(np.ones(5), size=(2, 3)).astype("float32")


def log_softmax(logits):
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("temperature", [0.12, 1.0, 3.0])
def test_soft_cross_entropy(temperature):
    expected = -np.mean(
        np.sum(TARGETS * log_softmax(LOGITS / temperature), axis=-1)
    )
    loss = to_numpy(soft_cross_entropy(TARGETS, LOGITS, temperature))
    assert loss.shape == () and loss.dtype == np.float32
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_equals_the_published_loss(reference):
    offsets = 64 * np.arange(4)[:, None]
    indices = reference["predict_indices"].reshape(4, -1) - offsets
    targets = np.take_along_axis(
        reference["teacher/assignments"], indices[..., None], axis=1
    )
    loss = soft_cross_entropy(
        targets.reshape(-1, 64), reference["masked/logits"], 0.12
    )
    np.testing.assert_allclose(
        to_numpy(loss), reference["capi_loss"], rtol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(entropy(targets)), reference["target_entropy"], rtol=1e-4
    )


def test_gradient():
    targets = ops.convert_to_tensor(TARGETS)
    (gradient,) = gradients(
        lambda logits: soft_cross_entropy(targets, logits, 0.5), LOGITS
    )
    softmax = np.exp(log_softmax(LOGITS / 0.5))
    # A mean over six samples.
    expected = (softmax - TARGETS) / 0.5 / 6
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_extreme_logits_stay_finite():
    logits = np.array([[1e4, -1e4, 0.0]], "float32")
    targets = np.array([[0.0, 1.0, 0.0]], "float32")
    loss = to_numpy(soft_cross_entropy(targets, logits, 0.1))
    np.testing.assert_allclose(loss, 2e5, rtol=1e-6)


def test_half_precision_is_computed_in_float32():
    half = ops.cast(LOGITS, "bfloat16")
    loss = to_numpy(soft_cross_entropy(TARGETS, half, 0.12))
    expected = soft_cross_entropy(TARGETS, ops.cast(half, "float32"), 0.12)
    assert loss.dtype == np.float32
    np.testing.assert_array_equal(loss, to_numpy(expected))


def test_entropy():
    expected = -np.mean(np.sum(TARGETS * np.log(TARGETS), axis=-1))
    np.testing.assert_allclose(to_numpy(entropy(TARGETS)), expected, rtol=1e-5)
    uniform = np.full((4, 5), 0.2, "float32")
    np.testing.assert_allclose(to_numpy(entropy(uniform)), np.log(5), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_targets(dtype):
    certain = ops.convert_to_tensor(np.eye(5, dtype="float32"))
    half = ops.cast(certain, dtype)
    assert to_numpy(entropy(half)) == 0.0
    loss = soft_cross_entropy(half, LOGITS[:1, 0], 0.12)
    expected = soft_cross_entropy(certain, LOGITS[:1, 0], 0.12)
    np.testing.assert_array_equal(to_numpy(loss), to_numpy(expected))


def test_entropy_of_certainty_is_zero():
    assert to_numpy(entropy(np.eye(5, dtype="float32"))) == 0.0
