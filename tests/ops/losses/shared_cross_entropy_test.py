import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.ops import shared_cross_entropy


def test_equals_the_dense_one():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 4, 7)).astype("float32")
    indices = generator.permuted(
        np.broadcast_to(np.arange(7), (3, 4, 7)), axis=-1
    )[..., :2]
    shares = np.array([0.75, 0.25], "float32") * np.ones((3, 4, 1), "float32")
    dense = np.zeros((3, 4, 7))
    np.put_along_axis(dense, indices, shares, axis=-1)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    costs = shared_cross_entropy(indices.astype("int32"), shares, logits)
    np.testing.assert_allclose(
        to_numpy(costs), -(dense * log_p).sum(axis=-1), rtol=1e-5
    )


@pytest.mark.parametrize("index", [-1, 3])
def test_indices_that_are_no_class(index):
    """They are refused, or make the loss NaN where values are not at hand."""
    logits = np.array([[0.0, 1.0, 2.0]] * 2, "float32")
    indices = np.array([[0, index], [0, 2]])
    shares = np.array([0.5, 0.5], "float32")
    with pytest.raises(ValueError, match="`indices` must be from 0 to 2"):
        shared_cross_entropy(indices, shares, logits)
    indices = ops.convert_to_tensor(indices)
    costs = to_numpy(shared_cross_entropy(indices, shares, logits))
    assert np.isnan(costs[0])
    assert costs[1] == pytest.approx(1.4076, abs=1e-4)
