"""Cross-entropy with one right class."""

from keras import ops


def label_cross_entropy(labels, logits):
    """Returns what each label's probability costs.

    Nothing is averaged: where labels are padded, or count only where something
    is hidden, see `keras_capi.ops.masked_mean`.

    Args:
        labels: Integer tensor of any shape: the right classes.
        logits: Float tensor of that shape with one more axis: scores of all
            classes.

    Returns:
        Float32 tensor of the shape of `labels`, in nats.

    Example:

    >>> logits = np.array([[0.0, 2.0, 1.0]])
    >>> keras_capi.ops.label_cross_entropy(np.array([1]), logits)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    """
    logits = ops.cast(logits, "float32")
    labels = ops.expand_dims(ops.cast(labels, "int32"), -1)
    scores = ops.take_along_axis(logits, labels, axis=-1)
    return ops.logsumexp(logits, axis=-1) - ops.squeeze(scores, -1)
