"""Clusters of vectors, by their Euclidean distances.

Not scikit-learn's, which stops where nothing changes any more, gives clusters
without vectors those that are farthest away, and knows no accelerators.
"""

import numpy as np
from keras import ops

from keras_capi.ops.clustering.finite import check_finite
from keras_capi.ops.clustering.nearest_centroids import nearest_centroids
from keras_capi.validation import check_positive_integer

# As in faiss, by which a cluster is split alike each time.
SEED = 1234
SHIFT = 1 / 1024


def kmeans(vectors, centroids, num_iterations=20):
    """Clusters vectors by k-means, as faiss does.

    In turn assigns each vector to the nearest centroid and makes centroids the
    means of their vectors. One that has lost all of its vectors becomes a half
    of another cluster, more likely of a large one: their centroids are the same
    but for a small shift.

    Args:
        vectors: Float tensor of shape `(samples, width)`.
        centroids: Float tensor of shape `(clusters, width)`: the first ones,
            such as some of the vectors.
        num_iterations: Integer. Defaults to `20`.

    Returns:
        Tuple of the centroids, a float32 array of shape `(clusters, width)`,
        the assignments to them, an int32 array of shape `(samples,)`, and the
        sums of squared distances before each iteration, a float32 array of
        shape `(num_iterations,)`.

    Raises:
        ValueError: If there are fewer vectors than centroids, or one is not
            finite.

    Example:

    >>> vectors = np.random.normal(size=(30, 4))
    >>> centroids, labels, errors = keras_capi.ops.kmeans(vectors, vectors[:5])

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.3
    """
    check_positive_integer("num_iterations", num_iterations)
    vectors = ops.cast(vectors, "float32")
    centroids = np.array(ops.convert_to_numpy(centroids), "float32")
    num_samples, num_clusters = vectors.shape[0], len(centroids)
    if num_samples < num_clusters:
        raise ValueError(
            "There must be at least as many vectors as centroids. Received: "
            f"{num_samples} vectors, {num_clusters} centroids"
        )
    errors = []
    for _ in range(num_iterations):
        labels, distances = nearest_centroids(vectors, centroids)
        errors.append(float(ops.sum(distances)))
        check_finite("distances from vectors to centroids", errors[-1])
        sums = ops.segment_sum(vectors, labels, num_clusters)
        counts = np.bincount(
            ops.convert_to_numpy(labels), minlength=num_clusters
        )
        means = ops.convert_to_numpy(sums) / np.maximum(counts, 1)[:, None]
        means = means.astype("float32")
        centroids = np.where(counts[:, None] > 0, means, centroids)
        # Where each vector is its own cluster, there is nothing to split.
        if num_samples > num_clusters:
            _split_clusters(centroids, counts, num_samples)
    labels, _ = nearest_centroids(vectors, centroids)
    return (
        centroids,
        ops.convert_to_numpy(labels),
        np.array(errors, "float32"),
    )


def _split_clusters(centroids, counts, num_samples):
    """Makes each cluster without vectors a half of another, in place."""
    generator = np.random.RandomState(SEED)
    counts = counts.astype("float32")
    rest = np.float32(num_samples - len(counts))
    signs = np.where(np.arange(centroids.shape[1]) % 2, -1, 1)
    for empty in np.flatnonzero(counts == 0):
        index = 0
        while _draw(generator) >= (counts[index] - 1) / rest:
            index = (index + 1) % len(counts)
        centroids[empty] = centroids[index] * (1 + SHIFT * signs)
        centroids[index] *= 1 - SHIFT * signs
        counts[empty] = counts[index] / 2
        counts[index] -= counts[empty]


def _draw(generator):
    bits = generator.randint(0, 2**32, dtype="uint32")
    return np.float32(bits) / np.float32(2**32 - 1)
