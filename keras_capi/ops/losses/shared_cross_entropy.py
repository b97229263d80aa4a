"""Cross-entropy with targets spread over a few classes."""

from keras import ops

from keras_capi.ops.losses.class_scores import class_scores


def shared_cross_entropy(indices, shares, logits):
    """Returns the cross-entropy with targets spread over a few classes.

    Like `soft_cross_entropy`, but for targets that are 0 except for a few
    classes, and without the average.

    Args:
        indices: Integer tensor of shape `(..., some)`: classes.
        shares: Float tensor of that shape: their shares, which sum to 1.
        logits: Float tensor of shape `(..., classes)`. The predictions.

    Returns:
        Float32 tensor of shape `(...)`, in nats. NaN where an index is not a
        class.

    Raises:
        ValueError: If the indices are a NumPy array with a value that is not a
            class.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), equation
      2
    """
    logits = ops.cast(logits, "float32")
    scores = class_scores("indices", indices, logits)
    shared = ops.sum(ops.cast(shares, "float32") * scores, axis=-1)
    return ops.logsumexp(logits, axis=-1) - shared
