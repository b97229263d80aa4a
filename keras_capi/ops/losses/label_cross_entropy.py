"""Cross-entropy with a single right class."""

from keras import ops

from keras_capi.ops.value_range import check_value_range


def label_cross_entropy(labels, logits):
    """Returns the cross-entropy of each label.

    Nothing is averaged. If some labels are padding, or only those of hidden
    patches count, use `keras_capi.ops.masked_mean`.

    Args:
        labels: Integer tensor of any shape: the right classes.
        logits: Float tensor of that shape with one more axis: scores of all
            classes.

    Returns:
        Float32 tensor of the shape of `labels`, in nats. NaN where a label is
        not a class.

    Raises:
        ValueError: If the labels are a NumPy array with a value that is not a
            class.

    Example:

    >>> logits = np.array([[0.0, 2.0, 1.0]])
    >>> keras_capi.ops.label_cross_entropy(np.array([1]), logits)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    """
    logits = ops.cast(logits, "float32")
    # A tensor where a loss has a class for each image of the batch.
    num_classes = ops.shape(logits)[-1]
    if isinstance(num_classes, int):
        check_value_range("labels", labels, num_classes, "as there are classes")
    labels = ops.cast(labels, "int32")
    # For labels that are not classes, backends would use another class, or
    # raise.
    is_class = ops.logical_and(labels >= 0, labels < num_classes)
    places = ops.expand_dims(ops.where(is_class, labels, 0), -1)
    scores = ops.squeeze(ops.take_along_axis(logits, places, axis=-1), -1)
    losses = ops.logsumexp(logits, axis=-1) - scores
    return ops.where(is_class, losses, float("nan"))
