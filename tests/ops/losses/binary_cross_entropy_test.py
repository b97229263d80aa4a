import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import binary_cross_entropy


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_mean_over_all(label):
    x = np.array([[0.1, 0.9], [0.5, 0.25]], "float32")
    right = x if label else 1 - x
    loss = to_numpy(binary_cross_entropy(x, label))
    assert loss.shape == () and loss.dtype == np.float32
    assert loss == pytest.approx(-np.log(right).mean(), rel=1e-6)


def test_certain_and_wrong_is_finite():
    x = np.array([0.0], "float16")
    assert to_numpy(binary_cross_entropy(x, 1.0)) == pytest.approx(27.63, 1e-3)
    assert to_numpy(binary_cross_entropy(x, 0.0)) == 0.0
