import numpy as np
from helpers import to_numpy

from keras_capi.ops import swiglu


def test_the_first_half_is_the_gate():
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
    gate, values = x[..., :4], x[..., 4:]
    expected = gate / (1 + np.exp(-gate)) * values
    np.testing.assert_allclose(to_numpy(swiglu(x)), expected, atol=1e-6)
