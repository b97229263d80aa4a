import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import kmeans
from keras_capi.ops import nearest_centroids

GENERATOR = np.random.default_rng(0)
VECTORS = GENERATOR.normal(size=(60, 3)).astype("float32")


def test_equals_numpy():
    centroids, errors = VECTORS[:5].astype("float64"), []
    for _ in range(4):
        squares = ((VECTORS[:, None] - centroids) ** 2).sum(-1)
        errors.append(squares.min(axis=1).sum())
        labels = squares.argmin(axis=1)
        centroids = np.array([VECTORS[labels == k].mean(0) for k in range(5)])
    squares = ((VECTORS[:, None] - centroids) ** 2).sum(-1)
    found, labels, sums = kmeans(VECTORS, VECTORS[:5], 4)
    np.testing.assert_allclose(found, centroids, atol=1e-6)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    np.testing.assert_allclose(sums, errors, rtol=1e-6)


def test_clusters_without_vectors_become_halves_of_others():
    starts = VECTORS[:8].copy()
    starts[[2, 5]] = 50.0
    found, labels, _ = kmeans(VECTORS, starts, 1)
    squares = ((VECTORS[:, None] - starts) ** 2).sum(-1)
    counts = np.bincount(squares.argmin(axis=1), minlength=8)
    np.testing.assert_array_equal(counts, [10, 5, 0, 16, 4, 0, 19, 6])
    # As faiss 1.15 splits them.
    expected = [
        [-0.08866031, -0.83463365, 0.5420599],
        [-1.1844295, -0.18369102, 0.06486324],
        [-1.1821185, -0.18405014, 0.06473669],
        [-0.08883364, -0.83300513, 0.54311967],
    ]
    np.testing.assert_allclose(found[[1, 2, 3, 5]], expected, atol=1e-6)
    squares = ((VECTORS[:, None] - found) ** 2).sum(-1)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))


def test_a_cluster_for_each_vector():
    found, labels, errors = kmeans(VECTORS, VECTORS[::-1], 2)
    np.testing.assert_array_equal(found, VECTORS[::-1])
    np.testing.assert_array_equal(labels, np.arange(60)[::-1])
    np.testing.assert_allclose(errors, 0, atol=1e-4)
    with pytest.raises(ValueError, match="60 vectors, 61 centroids"):
        kmeans(VECTORS, np.zeros((61, 3)))


def test_in_parts(monkeypatch):
    expected = [to_numpy(x) for x in nearest_centroids(VECTORS, VECTORS[:7])]
    monkeypatch.setitem(nearest_centroids.__globals__, "NUMBERS_AT_A_TIME", 70)
    for found, value in zip(
        nearest_centroids(VECTORS, VECTORS[:7]), expected, strict=True
    ):
        np.testing.assert_allclose(to_numpy(found), value, atol=1e-6)


def test_no_vectors_and_no_centroids():
    labels, distances = nearest_centroids(VECTORS[:0], VECTORS[:7])
    assert to_numpy(labels).shape == to_numpy(distances).shape == (0,)
    with pytest.raises(ValueError, match="a centroid or more. Received: none"):
        nearest_centroids(VECTORS, VECTORS[:0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite(value):
    vectors = VECTORS.copy()
    vectors[7, 1] = value
    with pytest.raises(ValueError, match="must be finite.*whose training"):
        kmeans(vectors, VECTORS[:5])
