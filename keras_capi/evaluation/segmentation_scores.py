import numpy as np

from keras_capi.validation import check_integers


def segmentation_scores(masks, predictions, ignore_labels=(255,)):
    """Compares predicted masks with true ones, pixel by pixel.

    The intersection over union is averaged over the classes that occur in the
    true or predicted masks, among the pixels that count (macro Jaccard).

    Args:
        masks: Integer array: the true class of each pixel.
        predictions: Integer array of the same shape.
        ignore_labels: Tuple of integers. Pixels whose true class is one of
            these are ignored. Defaults to `(255,)`.

    Returns:
        Dictionary of floats: `"mean_iou"` and `"pixel_accuracy"`.

    Raises:
        ValueError: If shapes differ, labels are not integers, or all pixels are
            ignored.

    Example:

    >>> masks = np.random.randint(0, 3, (2, 8, 8))
    >>> keras_capi.evaluation.segmentation_scores(masks, masks)
    {'mean_iou': 1.0, 'pixel_accuracy': 1.0}

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    ignore_labels = check_integers("ignore_labels", ignore_labels)
    masks, predictions = np.asarray(masks), np.asarray(predictions)
    for name, labels in (("masks", masks), ("predictions", predictions)):
        if labels.dtype.kind not in "biu":
            raise ValueError(
                f"`{name}` must be integers, the class of each pixel. "
                f"Received: dtype {labels.dtype}"
            )
    counts = ~np.isin(masks, ignore_labels)
    if masks.shape != predictions.shape or not counts.any():
        raise ValueError(
            "`predictions` must have the shape of `masks`, which must have "
            "labels that are not ignored. Received: shapes "
            f"{predictions.shape} and {masks.shape}, "
            f"ignore_labels={ignore_labels}"
        )
    masks, predictions = masks[counts], predictions[counts]
    classes = np.union1d(masks, predictions)
    true = np.searchsorted(classes, masks)
    predicted = np.searchsorted(classes, predictions)
    number = len(classes)
    both = np.bincount(true[true == predicted], minlength=number)
    either = (
        np.bincount(true, minlength=number)
        + np.bincount(predicted, minlength=number)
        - both
    )
    return {
        "mean_iou": float(np.mean(both / either)),
        "pixel_accuracy": float(both.sum() / len(true)),
    }
