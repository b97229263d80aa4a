"""Clusters of vectors, by their Euclidean distances.

This is not scikit-learn's k-means, which stops when nothing changes, fills
empty clusters with the farthest vectors, and does not use accelerators.
"""

import numpy as np
from keras import ops

from keras_capi.ops.clustering.nearest_centroids import nearest_centroids
from keras_capi.ops.finite import check_finite
from keras_capi.validation import check_positive_integer

# The seed of faiss, with which clusters are split in the same way each time.
SEED = 1234
SHIFT = 1 / 1024


def kmeans(vectors, centroids, num_iterations=20):
    """Clusters vectors by k-means, as faiss does.

    Alternates between assigning each vector to the nearest centroid, and moving
    each centroid to the mean of its vectors. An empty cluster takes over half
    of another, most likely a large one: both get the same centroid, up to a
    small shift.

    Args:
        vectors: Float tensor of shape `(samples, width)`.
        centroids: Float tensor of shape `(clusters, width)`: the initial
            centroids, such as some of the vectors.
        num_iterations: Integer. Number of iterations. Defaults to `20`.

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
        # If each vector is its own cluster, there is nothing to split.
        if num_samples > num_clusters:
            _split_clusters(centroids, counts, num_samples)
    labels, _ = nearest_centroids(vectors, centroids)
    return (
        centroids,
        ops.convert_to_numpy(labels),
        np.array(errors, "float32"),
    )


def _split_clusters(centroids, counts, num_samples):
    """Gives each empty cluster half of another one, in place."""
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
