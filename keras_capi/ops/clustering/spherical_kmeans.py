"""Clustering of directions."""

from keras import ops

from keras_capi.ops.clustering.nearest_centroids import parts_of
from keras_capi.ops.finite import check_finite
from keras_capi.ops.normalization import l2_normalize
from keras_capi.validation import check_positive_integer


def spherical_kmeans(vectors, starts, num_iterations=10):
    """Clusters vectors of length 1 by their cosine similarities.

    Alternates between assigning each vector to the most similar centroid, and
    moving each centroid to the normalised mean of its vectors. The centroids of
    empty clusters stay as they are.

    Args:
        vectors: Float tensor of shape `(samples, width)`, each of length 1.
        starts: Integer array of shape `(clusters,)`: the indices of the vectors
            to use as initial centroids.
        num_iterations: Integer. Number of iterations. Defaults to `10`.

    Returns:
        Tuple of the centroids, a float32 tensor of shape `(clusters, width)`,
        and the assignments to them, an int32 tensor of shape `(samples,)`.

    Raises:
        ValueError: If a vector is not finite.

    Example:

    >>> vectors = keras.utils.normalize(np.random.normal(size=(8, 3)))
    >>> centroids, labels = keras_capi.ops.spherical_kmeans(vectors, [0, 1])

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), appendix D (DeepCluster-v2)
    """
    check_positive_integer("num_iterations", num_iterations)
    vectors = ops.cast(vectors, "float32")
    check_finite("vectors", ops.convert_to_numpy(ops.sum(vectors)))
    centroids = ops.take(vectors, ops.cast(starts, "int32"), axis=0)
    num_clusters = centroids.shape[0]
    for _ in range(num_iterations):
        labels = _nearest(vectors, centroids)
        sums = ops.segment_sum(vectors, labels, num_clusters)
        counts = ops.bincount(labels, minlength=num_clusters)
        counts = ops.cast(counts, "float32")[:, None]
        means = sums / ops.maximum(counts, 1.0)
        centroids = l2_normalize(
            ops.where(counts > 0, means, centroids), epsilon=1e-12
        )
    return centroids, _nearest(vectors, centroids)


def _nearest(vectors, centroids):
    matrix = ops.transpose(centroids)
    labels = [
        ops.cast(ops.argmax(ops.matmul(part, matrix), axis=-1), "int32")
        for part in parts_of(vectors, centroids.shape[0])
    ]
    return ops.concatenate(labels)
