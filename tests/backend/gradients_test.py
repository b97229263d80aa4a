import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from helpers import to_numpy
from keras import ops

from keras_capi.backend import value_and_gradients


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_gradients_of_several_tensors(compilation):
    def run(x, y):
        value, gradients = value_and_gradients(
            lambda tensors: ops.sum(tensors[0] ** 2 * tensors[1]), [x, y]
        )
        return value, *gradients

    x = np.array([1.0, 2.0, -3.0], "float32")
    y = np.array([0.5, 1.0, 2.0], "float32")
    results = compile_function(run, compilation)(x, y)
    for result, expected in zip(results, (22.5, 2 * x * y, x**2), strict=True):
        np.testing.assert_allclose(to_numpy(result), expected)


def test_nothing_flows_through_it():
    """A gradient around it sees constants."""
    x = ops.convert_to_tensor(np.array([1.0, 2.0], "float32"))

    def outer(tensors):
        value, (inner,) = value_and_gradients(
            lambda values: ops.sum(values[0] ** 3), tensors
        )
        return ops.sum(tensors[0] * inner) + value

    _, (gradient,) = value_and_gradients(outer, [x])
    np.testing.assert_allclose(to_numpy(gradient), [3.0, 12.0])
