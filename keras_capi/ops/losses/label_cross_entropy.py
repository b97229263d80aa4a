"""Cross-entropy with a single right class."""

import numpy as np
from keras import ops

from keras_capi.ops.losses.class_scores import class_scores


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
        ValueError: If the labels are a list or NumPy array with a value that is
            not a class.

    Example:

    >>> logits = np.array([[0.0, 2.0, 1.0]])
    >>> keras_capi.ops.label_cross_entropy(np.array([1]), logits)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    """
    logits = ops.cast(logits, "float32")
    labels = labels if hasattr(labels, "shape") else np.array(labels)
    labels = labels[..., None]
    scores = ops.squeeze(class_scores("labels", labels, logits), -1)
    return ops.logsumexp(logits, axis=-1) - scores
