"""Checks of the inputs of probes, all before anything is trained."""

import numpy as np

from keras_capi.ops.finite import check_finite


def prepare_probe_features(name, features):
    """Returns features as probes take them: vectors, or sequences of tokens.

    Args:
        name: String. The name of the argument, for errors.
        features: Dictionary of float arrays of shape `(samples, width)`,
            `(samples, tokens, width)` or `(samples, rows, columns, width)`.

    Returns:
        Dictionary of arrays of rank 2 or 3. With vectors `"global"` and
        `"average"`, also their concatenation, `"global+average"`.

    Raises:
        ValueError: If there are no features, a shape or dtype is wrong, numbers
            of samples differ, or a value is not finite.
    """
    if not isinstance(features, dict) or not features:
        raise ValueError(
            f"`{name}` must be a dictionary of at least one array. "
            f"Received: {features!r:.100}"
        )
    prepared = {}
    for source, values in features.items():
        values = np.asarray(values)
        described = f"{name}[{source!r}]"
        if values.ndim not in (2, 3, 4) or 0 in values.shape:
            raise ValueError(
                f"`{described}` must have the shape (samples, width), "
                "(samples, tokens, width) or (samples, rows, columns, width). "
                f"Received: shape {values.shape}"
            )
        # By name, as `bfloat16` is not among NumPy's own.
        if not values.dtype.name.startswith(("float", "bfloat")):
            raise ValueError(
                f"`{described}` must be floating point. "
                f"Received: dtype {values.dtype}"
            )
        # The sum tells, without an array of flags as large as the features.
        with np.errstate(invalid="ignore"):
            total = np.sum(values, dtype="float64")
        check_finite(f"features `{described}`", total)
        if values.ndim == 4:
            values = values.reshape(len(values), -1, values.shape[-1])
        prepared[source] = values
    counts = {source: len(values) for source, values in prepared.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"All features in `{name}` must have the same number of samples. "
            f"Received: {counts}"
        )
    pair = [prepared.get("global"), prepared.get("average")]
    if all(values is not None and values.ndim == 2 for values in pair):
        prepared["global+average"] = np.concatenate(pair, axis=-1)
    return prepared


def check_same_features(train_features, test_features):
    """Raises a `ValueError` unless both sets have the same kinds of features.

    Args:
        train_features: Dictionary of arrays.
        test_features: Dictionary of arrays.
    """
    train_shapes, test_shapes = (
        {source: values.shape[1:] for source, values in features.items()}
        for features in (train_features, test_features)
    )
    if train_shapes != test_shapes:
        raise ValueError(
            "`train_features` and `test_features` must have the same names and "
            "shapes of a sample. Received: "
            f"{train_shapes} for training and {test_shapes} for testing"
        )


def check_labels(name, labels, num_samples, ranks, smallest, num_classes=None):
    """Returns labels as an array, or raises a `ValueError`.

    Args:
        name: String. The name of the argument, for errors.
        labels: Integer array whose first axis is that of the samples.
        num_samples: Integer. Number of samples with features.
        ranks: Tuple of integers. The ranks that the labels may have.
        smallest: Integer. The smallest value that a label may have.
        num_classes: Integer or `None`. Labels must be below it. Defaults to
            `None`.

    Returns:
        Integer array.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`{name}` must be integers. Received: dtype {labels.dtype}"
        )
    if (
        labels.ndim not in ranks
        or len(labels) != num_samples
        or not labels.size
    ):
        raise ValueError(
            f"`{name}` must have rank {' or '.join(map(str, ranks))} and a row "
            f"for each of the {num_samples} samples with features. "
            f"Received: {name}.shape={labels.shape}"
        )
    low, high = labels.min(), labels.max()
    if low < smallest or (num_classes is not None and high >= num_classes):
        limit = "" if num_classes is None else f" and below {num_classes}"
        raise ValueError(
            f"`{name}` must be at least {smallest}{limit}. "
            f"Received: values from {low} to {high}"
        )
    if high < 0:
        raise ValueError(
            f"`{name}` must have a label of at least 0 for a sample or more. "
            f"Received: no label for {num_samples} samples"
        )
    return labels
