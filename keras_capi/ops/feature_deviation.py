from keras import ops

from keras_capi.ops.collectives import all_reduce_sum


def feature_deviation(features):
    """Measures how much features differ, over the batch of all replicas.

    Returns the root of the mean variance. It is 0 if all features are the same,
    whatever the input: the way in which methods with a teacher may collapse.
    For features that are each normalised, it is at most 1.

    Args:
        features: Float tensor of shape `(..., width)`, without a gradient.

    Returns:
        Float32 scalar tensor.

    Example:

    >>> deviation = keras_capi.ops.feature_deviation(np.eye(4))
    """
    width = features.shape[-1]
    features = ops.reshape(ops.cast(features, "float32"), (-1, width))
    parts = [
        ops.sum(features, axis=0),
        ops.sum(ops.ones_like(features[:, :1]), axis=0),
    ]
    sums = all_reduce_sum(ops.concatenate(parts))
    # Not the mean of squares minus the square of the mean: if all features are
    # nearly the same, that difference is a rounding error.
    centered = features - sums[:-1] / sums[-1]
    squares = all_reduce_sum(ops.sum(ops.square(centered)))
    return ops.sqrt(squares / (sums[-1] * width))
