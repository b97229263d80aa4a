"""Clustering of features as in the first version of DeepCluster."""

import keras

from keras_capi.ops.clustering.kmeans import kmeans
from keras_capi.ops.clustering.whitening import fit_whitening


def cluster_whitened(
    features, num_components, num_clusters, num_iterations, generator
):
    """Clusters whitened principal components of length 1 by k-means.

    Args:
        features: Float32 array of shape `(images, width)`.
        num_components: Integer. Capped at what features and images allow.
        num_clusters: Integer. Capped at the number of images.
        num_iterations: Integer. Iterations of k-means.
        generator: `np.random.Generator`, which draws the first centroids.

    Returns:
        Int32 array of shape `(images,)`.
    """
    count = min(num_components, features.shape[1], max(len(features) - 1, 1))
    matrix, offset, _ = fit_whitening(features, count)
    vectors = keras.utils.normalize(features @ matrix.T + offset)
    starts = generator.permutation(len(vectors))[:num_clusters]
    _, clusters, _ = kmeans(vectors, vectors[starts], num_iterations)
    return clusters
