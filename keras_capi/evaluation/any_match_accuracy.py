import numpy as np


def any_match_accuracy(predictions, labels):
    """Returns the share of samples whose prediction is one of their labels.

    For images that show several things, of which any is a right answer.

    Args:
        predictions: Integer array of classes, of shape `(samples,)`, or `(...,
            samples)` for those of several models.
        labels: Integer array of shape `(samples,)`, or `(samples, labels)`
            padded with -1. Samples without a label are left out.

    Returns:
        Float array of shape `(...)`; for predictions of shape `(samples,)` a
        float.

    Raises:
        ValueError: If the shapes do not match, classes are not integers, or no
            sample has a label.

    Example:

    >>> labels = np.array([[0, 2], [1, -1], [-1, -1]])
    >>> keras_capi.evaluation.any_match_accuracy(np.array([2, 0, 0]), labels)
    0.5

    Reference:

    - [ImageNet ReaL](https://arxiv.org/abs/2006.07159), section 3
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim not in (1, 2) or predictions.shape[-1:] != labels.shape[:1]:
        raise ValueError(
            "`labels` must have the shape (samples,) or (samples, labels), and "
            "the last axis of `predictions` as many samples. Received: "
            f"predictions.shape={predictions.shape}, "
            f"labels.shape={labels.shape}"
        )
    for name, classes in (("predictions", predictions), ("labels", labels)):
        if classes.dtype.kind not in "iu":
            raise ValueError(
                f"`{name}` must be integers, the classes; of scores take "
                f"`argmax`. Received: dtype {classes.dtype}"
            )
    labels = labels.reshape(len(labels), -1)
    labelled = (labels >= 0).any(axis=-1)
    if not labelled.any():
        raise ValueError(
            "`labels` must have a label of at least 0 for a sample or more. "
            f"Received: no label for {len(labels)} samples"
        )
    predictions, labels = predictions[..., labelled], labels[labelled]
    matches = (predictions[..., None] == labels) & (labels >= 0)
    accuracy = matches.any(axis=-1).mean(axis=-1)
    return float(accuracy) if accuracy.ndim == 0 else accuracy
