import numpy as np
import pytest
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi.ops import l2_normalize
from keras_capi.ops import layer_normalize
from keras_capi.ops import rms_normalize

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


def test_layer_normalize():
    centred = X - X.mean(axis=-1, keepdims=True)
    for epsilon in (1e-5, 0.5):
        deviation = np.sqrt(X.var(axis=-1, keepdims=True) + epsilon)
        outputs = layer_normalize(X, epsilon)
        np.testing.assert_allclose(
            to_numpy(outputs), centred / deviation, atol=1e-5
        )
    assert to_numpy(layer_normalize(X.astype("float16"))).dtype == np.float32


def test_l2_normalize():
    expected = X / np.linalg.norm(X, axis=-1, keepdims=True)
    for scale in (1e-4, 1.0, 1e4):
        outputs = to_numpy(l2_normalize(scale * X, 1e-7))
        np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_l2_normalize_divides_by_at_least_epsilon():
    x = np.array([[3e-3, 4e-3], [0.3, 0.4], [0.0, 0.0]], "float32")
    outputs = to_numpy(l2_normalize(x, 0.01))
    np.testing.assert_allclose(
        outputs, [[0.3, 0.4], [0.6, 0.8], [0, 0]], rtol=1e-5
    )


@pytest.mark.parametrize("epsilon", [1e-7, 1e-12])
def test_l2_normalize_has_a_finite_gradient_at_zero(epsilon):
    x = np.zeros((2, 4), "float32")
    # Not even through what is not a number times zero.
    (gradient,) = gradients(
        lambda x: ops.sum(ops.square(l2_normalize(x, epsilon))), x
    )
    np.testing.assert_array_equal(gradient, 0.0)
    (gradient,) = gradients(lambda x: ops.sum(l2_normalize(x, epsilon)), x)
    assert np.isfinite(gradient).all()


def test_l2_normalize_gradient():
    weights = np.random.default_rng(1).normal(size=X.shape)
    factors = ops.convert_to_tensor(weights.astype("float32"))
    (gradient,) = gradients(
        lambda x: ops.sum(l2_normalize(x, 1e-7) * factors), X
    )
    norms = np.linalg.norm(X, axis=-1, keepdims=True)
    unit = X / norms
    along = np.sum(weights * unit, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        gradient, (weights - unit * along) / norms, atol=1e-5
    )


def test_l2_normalize_is_computed_in_float32():
    # The squares are beyond the range of float16.
    outputs = l2_normalize(ops.cast(1000 * X, "float16"), 1e-7)
    assert to_numpy(outputs).dtype == np.float32
    expected = X / np.linalg.norm(X, axis=-1, keepdims=True)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-3)


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_rms_normalize(epsilon):
    mean_square = np.mean(X**2, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        to_numpy(rms_normalize(X, epsilon)),
        X / np.sqrt(mean_square + epsilon),
        atol=1e-5,
    )


def test_rms_normalize_takes_the_published_epsilon():
    x = np.full((1, 4), 1e-3, "float32")
    expected = x / np.sqrt(1e-6 + 1e-5)
    np.testing.assert_allclose(to_numpy(rms_normalize(x)), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rms_normalize_keeps_the_dtype(dtype):
    half = ops.cast(X, dtype)
    outputs = rms_normalize(half)
    assert outputs.dtype == half.dtype
    mean_square = np.mean(X**2, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        to_numpy(ops.cast(outputs, "float32")),
        X / np.sqrt(mean_square + 1e-5),
        atol=0.03,
    )


def test_rms_normalize_with_a_scale():
    scale = np.linspace(0.5, 2, 8).astype("float32")
    outputs = to_numpy(rms_normalize(X, scale=ops.convert_to_tensor(scale)))
    expected = to_numpy(rms_normalize(X)) * scale
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
