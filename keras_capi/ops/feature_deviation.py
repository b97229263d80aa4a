from keras import ops

from keras_capi.ops.collectives import all_reduce_sum


def feature_deviation(features):
    """Measures how much features differ, over the batch of all replicas.

    The root of the mean variance: 0 if all features are the same, whatever the
    input, which is how methods with a teacher may collapse. Of features that
    are normalised one by one it is 1 at most.

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
    # Not the mean of squares less the square of the mean: where all features
    # are nearly the same, the difference is a rounding error.
    centered = features - sums[:-1] / sums[-1]
    squares = all_reduce_sum(ops.sum(ops.square(centered)))
    return ops.sqrt(squares / (sums[-1] * width))
