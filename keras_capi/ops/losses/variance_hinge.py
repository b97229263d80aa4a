"""A loss that keeps predictions from becoming all the same."""

from keras import ops

from keras_capi.validation import check_non_negative

EPSILON = 1e-6


def variance_hinge(values, mask, margin=0.5):
    """How far channels stay below a deviation over all masked places.

    `mean(max(margin - sqrt(variance + 1e-6), 0))` over the channels, the
    variance of each being over the masked places of the batch, with one less
    than their number as divisor.

    Args:
        values: Float tensor of shape `(batch, tokens, width)`.
        mask: Boolean tensor of shape `(batch, tokens)`: what counts.
        margin: Float. The deviation from which on there is no loss. Defaults to
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
