import numpy as np
import pytest

from keras_capi.ops.images.shrinking import resizing_matrix
from keras_capi.ops.images.shrinking import shrinking_matrix


@pytest.mark.parametrize(("size", "small_size"), [(24, 5), (8, 1), (9, 8)])
def test_same_as_scikit_image(size, small_size):
    transform = pytest.importorskip("skimage.transform")
    image = np.random.default_rng(0).random((size, size, 3))
    small = transform.resize(image, (small_size, small_size), order=1)
    expected = transform.resize(small, (size, size), order=1)
    matrix = shrinking_matrix(size, small_size)
    shrunk = np.einsum("rh,pw,hwc->rpc", matrix, matrix, image)
    np.testing.assert_allclose(shrunk, expected, atol=1e-6)


def test_keeps_what_is_alike():
    np.testing.assert_allclose(shrinking_matrix(12, 5).sum(axis=1), 1.0)
    np.testing.assert_allclose(resizing_matrix(6, 6), np.eye(6))
