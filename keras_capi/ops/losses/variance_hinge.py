"""A loss that keeps predictions from collapsing to a single one."""

from keras import ops

from keras_capi.validation import check_non_negative

EPSILON = 1e-6


def variance_hinge(values, mask, margin=0.5):
    """Returns how far the deviations of channels are below a margin.

    Computes `mean(max(margin - sqrt(variance + 1e-6), 0))` over the channels.
    The variance of each is the unbiased one over all masked positions of the
    batch.

    Args:
        values: Float tensor of shape `(batch, tokens, width)`.
        mask: Boolean tensor of shape `(batch, tokens)`: which tokens count.
        margin: Float. The deviation from which there is no loss. Defaults to
            `0.5`.

    Returns:
        Float32 scalar tensor.

    Reference:

    - [data2vec](https://arxiv.org/abs/2202.03555), section 3.3
    """
    check_non_negative("margin", margin)
    values = ops.cast(values, "float32")
    counted = ops.cast(mask, "float32")[..., None]
    count = ops.sum(counted, axis=(0, 1))
    means = ops.sum(values * counted, axis=(0, 1)) / ops.maximum(count, 1.0)
    squares = ops.sum(ops.square(values - means) * counted, axis=(0, 1))
    variance = squares / ops.maximum(count - 1.0, 1.0)
    return ops.mean(ops.relu(margin - ops.sqrt(variance + EPSILON)))
