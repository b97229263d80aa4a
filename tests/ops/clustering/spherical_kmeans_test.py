import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.ops import nearest_centroids
from keras_capi.ops import spherical_kmeans


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_equals_numpy():
    vectors = unit(np.random.default_rng(0).normal(size=(30, 4)))
    centroids = vectors[:5].copy()
    for _ in range(3):
        labels = (vectors @ centroids.T).argmax(axis=1)
        sums = [vectors[labels == k].mean(axis=0) for k in range(5)]
        centroids = unit(np.array(sums))
    found, assigned = spherical_kmeans(
        vectors.astype("float32"), np.arange(5), num_iterations=3
    )
    np.testing.assert_allclose(to_numpy(found), centroids, atol=1e-5)
    np.testing.assert_array_equal(
        to_numpy(assigned), (vectors @ centroids.T).argmax(axis=1)
    )


def test_a_cluster_without_vectors_stays():
    vectors = np.eye(3, dtype="float32")[[0, 0, 1]]
    # Of equal centroids the first has all vectors.
    centroids, labels = spherical_kmeans(vectors, [0, 1, 2])
    np.testing.assert_array_equal(to_numpy(centroids), vectors)
    np.testing.assert_array_equal(to_numpy(labels), [0, 0, 2])


def test_in_parts(monkeypatch):
    """The similarities of all vectors would fit no memory."""
    vectors = unit(np.random.default_rng(1).normal(size=(30, 4)))
    vectors = vectors.astype("float32")
    expected = spherical_kmeans(vectors, np.arange(5), 2)
    monkeypatch.setitem(nearest_centroids.__globals__, "NUMBERS_AT_A_TIME", 40)
    sizes, argmax = [], ops.argmax
    monkeypatch.setattr(
        ops, "argmax", lambda x, axis: sizes.append(len(x)) or argmax(x, axis)
    )
    for found, value in zip(
        spherical_kmeans(vectors, np.arange(5), 2), expected, strict=True
    ):
        np.testing.assert_allclose(to_numpy(found), to_numpy(value), atol=1e-6)
    assert set(sizes) == {8, 6}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite(value):
    vectors = np.eye(3, dtype="float32")
    vectors[1, 2] = value
    with pytest.raises(ValueError, match="The vectors must be finite"):
        spherical_kmeans(vectors, [0])
