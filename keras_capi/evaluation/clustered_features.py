import numpy as np
from keras import ops

from keras_capi.evaluation.patch_features import patch_features
from keras_capi.validation import check_positive_integer


def clustered_features(model, images, batch_size=64, features=None):
    """Computes the patch features that a CAPI model clusters.

    These are the ones that `predict` returns, unless the model has other
    `target_layers` than the last one.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        batch_size: Integer. Defaults to `64`.
        features: Array, the result of `keras_capi.evaluation.patch_features`
            for the images, to avoid computing it again. `None` computes it if
            it is needed. Defaults to `None`.

    Returns:
        Float32 array of shape `(samples, rows, columns, width)`.

    Raises:
        ValueError: If the model has no clusters.

    Example:

    >>> features = keras_capi.evaluation.clustered_features(model, images)
    """
    check_clusters(model)
    if model.target_layers == (model.encoder.num_layers,):
        if features is None:
            features = patch_features(model, images, batch_size)
        return features
    check_positive_integer("batch_size", batch_size)
    batches = [
        model.encode_targets(images[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]
    features = np.concatenate(
        [ops.convert_to_numpy(ops.cast(x, "float32")) for x in batches]
    )
    grid_size = model.encoder.grid_size(images.shape[1:])
    return features.reshape(len(features), *grid_size, -1)


def check_clusters(model):
    """Raises a `ValueError` unless a model has clusters."""
    if not hasattr(model, "clustering"):
        raise ValueError(
            "The model must have clusters, as `keras_capi.methods.CAPI` with "
            "an `OnlineClustering` has. "
            f"Received: {type(model).__name__}"
        )
