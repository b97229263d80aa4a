import numpy as np
from helpers import to_numpy

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
