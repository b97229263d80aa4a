"""Finds the nearest of many centroids."""

from keras import ops

# The number of scores that are in memory at a time.
NUMBERS_AT_A_TIME = 2**24


def nearest_centroids(vectors, centroids):
    """Finds the nearest centroid of each vector.

    Works part by part, as the distances of a large data set to thousands of
    centroids would not fit into memory.

    Args:
        vectors: Float tensor of shape `(samples, width)`.
        centroids: Float tensor of shape `(clusters, width)`.

    Returns:
        Tuple of the indices of the nearest centroids (ties go to the first),
        and the squared Euclidean distances to them: an int32 and a float32
        tensor of shape `(samples,)`.

    Raises:
        ValueError: If there are no centroids.

    Example:

    >>> vectors = np.array([[0.0, 1.0], [5.0, 4.0]])
    >>> keras_capi.ops.nearest_centroids(vectors, np.array([[0.0, 0.0]]))
    """
    vectors = ops.cast(vectors, "float32")
    centroids = ops.cast(centroids, "float32")
    if not vectors.shape[0]:
        return ops.zeros((0,), "int32"), ops.zeros((0,), "float32")
    half_squares = ops.sum(ops.square(centroids), axis=1) / 2
    labels, distances = [], []
    for part in parts_of(vectors, centroids.shape[0]):
        products = ops.matmul(part, ops.transpose(centroids))
        scores = products - half_squares
        labels.append(ops.cast(ops.argmax(scores, axis=1), "int32"))
        squares = ops.sum(ops.square(part), axis=1)
        distances.append(squares - 2 * ops.max(scores, axis=1))
    distances = ops.maximum(ops.concatenate(distances), 0.0)
    return ops.concatenate(labels), distances


def parts_of(vectors, num_clusters):
    """Yields parts of the vectors whose scores for all clusters fit in memory.

    Args:
        vectors: Tensor of shape `(samples, width)`.
        num_clusters: Integer.
    """
    if not num_clusters:
        raise ValueError("There must be a centroid or more. Received: none")
    count = max(NUMBERS_AT_A_TIME // num_clusters, 1)
    for start in range(0, vectors.shape[0], count):
        yield vectors[start : start + count]
