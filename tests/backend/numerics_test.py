"""Functions that take another route on some backend compute the same."""

import math

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from helpers import to_numpy
from keras import ops

from keras_capi import backend


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 5e-3), ("float16", 0.02), ("bfloat16", 0.07)],
)
def test_gelu_where_it_is_close_to_zero(dtype, tolerance, compilation):
    """Relative to float64, where `1 + erf` would lose all digits."""
    x = ops.cast(np.linspace(-4, -1, 301), dtype)
    exact = [
        0.5 * value * math.erfc(-value / math.sqrt(2))
        for value in to_numpy(ops.cast(x, "float32")).astype("float64")
    ]
    gelu = compile_function(backend.gelu, compilation)
    computed = to_numpy(ops.cast(gelu(x), "float32"))
    error = np.abs(computed / np.array(exact) - 1)
    assert error.max() < tolerance


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_gelu_is_keras(compilation):
    x = np.linspace(-6, 6, 100, dtype="float32")
    np.testing.assert_allclose(
        to_numpy(compile_function(backend.gelu, compilation)(x)),
        to_numpy(keras.ops.gelu(x, approximate=False)),
        rtol=1e-5,
        # Rounded at 1, as torch does.
        atol=6e-7,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="torch alone has two ways"
)
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("scale", [None, 2.0])
def test_rms_normalization_of_large_numbers_in_an_export(scale):
    """In half precision, whose range their squares leave."""
    import torch

    x = ops.convert_to_tensor([[300.0, -300.0, 3000.0, 1.0]], "float16")
    scale = scale and ops.full((4,), scale, "float16")

    def normalize(x):
        return backend.rms_normalization(x, scale, 1e-5)

    traced = torch.jit.trace(normalize, x, check_trace=False)
    assert traced(x).dtype == torch.float16
    torch.testing.assert_close(traced(x), normalize(x), rtol=2e-3, atol=1e-3)
