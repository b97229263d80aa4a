import numpy as np
import pytest
from backend_helpers import BACKEND
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi.ops.stochastic_depth import add_to_all
from keras_capi.ops.stochastic_depth import add_to_subset
from keras_capi.ops.stochastic_depth import num_kept

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(5, 3, 2)).astype("float32")
CONTEXT = GENERATOR.normal(size=(5, 3, 2)).astype("float32")
SHARED = GENERATOR.normal(size=(1, 3, 2)).astype("float32")


def branch(x, context, shared):
    return x * context + shared


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_add_to_all(compilation):
    scale = np.array([0.0, 1.0, 2.0, 0.0, 0.5], "float32")
    run = compile_function(
        lambda x, context, scale: add_to_all(
            x, branch, (context, ops.convert_to_tensor(SHARED)), scale
        ),
        compilation,
        unknown_batch=True,
    )
    expected = X + scale[:, None, None] * branch(X, CONTEXT, SHARED)
    np.testing.assert_allclose(
        to_numpy(run(X, CONTEXT, scale)), expected, atol=1e-6
    )


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_add_to_subset(compilation):
    indices = np.array([3, 0], "int32")
    run = compile_function(
        lambda x, context, indices: add_to_subset(
            x, branch, (context, ops.convert_to_tensor(SHARED)), indices
        ),
        compilation,
        unknown_batch=True,
    )
    scale = np.array([2.5, 0, 0, 2.5, 0], "float32")[:, None, None]
    expected = X + scale * branch(X, CONTEXT, SHARED)
    np.testing.assert_allclose(
        to_numpy(run(X, CONTEXT, indices)), expected, atol=1e-5
    )


def test_gradient_of_add_to_subset():
    indices = ops.convert_to_tensor(np.array([3, 0], "int32"))
    x, context = gradients(
        lambda x, context: ops.sum(
            add_to_subset(x, lambda x, c: x * c, [context], indices)
        ),
        X,
        CONTEXT,
    )
    scale = np.array([2.5, 0, 0, 2.5, 0], "float32")[:, None, None]
    np.testing.assert_allclose(x, 1 + scale * CONTEXT, atol=1e-5)
    np.testing.assert_allclose(context, scale * X, atol=1e-5)


@pytest.mark.parametrize("function", [add_to_all, add_to_subset])
def test_keeps_half_precision(function):
    x = ops.cast(X, "bfloat16")
    sample = np.ones(5, "float32")
    if function is add_to_subset:
        sample = np.array([1, 2], "int32")
    outputs = function(x, lambda x: x, (), ops.convert_to_tensor(sample))
    assert outputs.dtype == x.dtype


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 1 / 3, 0.5, 0.9, 0.99])
def test_num_kept(rate):
    for batch_size in range(1, 200):
        expected = max(int(batch_size * (1 - rate)), 1)
        assert num_kept(batch_size, rate) == expected


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each batch size"
)
@pytest.mark.parametrize("rate", [0.1, 0.2, 1 / 3, 0.9])
def test_num_kept_of_a_batch_of_unknown_size(rate):
    sizes = np.arange(1, 5000, dtype="int32")
    kept = to_numpy(num_kept(ops.convert_to_tensor(sizes), rate))
    assert kept.tolist() == [num_kept(int(size), rate) for size in sizes]
