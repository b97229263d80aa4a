"""Averages over hidden patches."""

from keras import ops


def masked_mean(values, mask):
    """Averages values over all masked positions of a batch.

    There is no average within images first: images with more masked positions
    count more.

    Args:
        values: Float tensor of any shape.
        mask: Boolean tensor of the same shape: which values to average.

    Returns:
        Float32 scalar tensor, 0 if nothing is masked.

    Example:

    >>> mask = [[True, False], [True, True]]
    >>> keras_capi.ops.masked_mean(np.array([[1.0, 5.0], [2.0, 3.0]]), mask)

    Reference:

    - [SimMIM](https://arxiv.org/abs/2111.09886), section 3.4
    """
    mask = ops.cast(mask, "bool")
    values = ops.where(mask, ops.cast(values, "float32"), 0.0)
    count = ops.sum(ops.cast(mask, "float32"))
    return ops.sum(values) / ops.maximum(count, 1.0)
