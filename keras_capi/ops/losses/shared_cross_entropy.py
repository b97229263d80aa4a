"""Cross-entropy with targets that few classes share."""

from keras import ops


def shared_cross_entropy(indices, shares, logits):
    """Returns what the probabilities of a few classes cost.

    Like `soft_cross_entropy`, for targets that are 0 but for a few classes, and
    without the mean over all else.

    Args:
        indices: Integer tensor of shape `(..., some)`. Classes.
        shares: Float tensor of that shape: their shares, in sum 1.
        logits: Float tensor of shape `(..., classes)`. The predictions.

    Returns:
        Float32 tensor of shape `(...)`, in nats.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), equation
      2
    """
    logits = ops.cast(logits, "float32")
    scores = ops.take_along_axis(logits, ops.cast(indices, "int32"), axis=-1)
    shared = ops.sum(ops.multiply(shares, scores), axis=-1)
    return ops.logsumexp(logits, axis=-1) - shared
