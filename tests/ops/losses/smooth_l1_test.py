import numpy as np
import pytest
from helpers import to_numpy

import keras_capi


def test_square_then_line():
    errors = np.array([0.0, 0.5, -0.5, 2.0, -3.0], "float32")
    loss = keras_capi.ops.smooth_l1(np.zeros(5, "float32"), errors)
    expected = [0.0, 0.125, 0.125, 1.5, 2.5]
    np.testing.assert_allclose(to_numpy(loss), expected, rtol=1e-6)


def test_beta_is_where_the_line_begins():
    errors = np.array([0.25, 0.5, -1.0], "float32")
    loss = keras_capi.ops.smooth_l1(errors, np.zeros(3), beta=0.5)
    np.testing.assert_allclose(to_numpy(loss), [0.0625, 0.25, 0.75], rtol=1e-6)


def test_half_precision_is_widened():
    loss = keras_capi.ops.smooth_l1(
        np.full((2,), 1.0, "float16"), np.full((2,), 3.0, "float16")
    )
    assert to_numpy(loss).dtype == np.float32


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_beta_must_be_positive(beta):
    with pytest.raises(ValueError, match="`beta` must be a positive"):
        keras_capi.ops.smooth_l1(np.zeros(2), np.zeros(2), beta=beta)
