import numpy as np

from keras_capi.validation import check_positive_integer


def patch_features(model, images, batch_size=64):
    """Computes the patch features of images, with any model.

    Args:
        model: A `keras.Model` that returns a tensor of shape
            `(batch, rows, columns, width)`, or a dictionary with such a
            `"feature_map"`, as all encoders and methods of pretraining do.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        batch_size: Integer. Defaults to `64`.

    Returns:
        Float32 array of shape `(samples, rows, columns, width)`.

    Raises:
        ValueError: If the model returns something else.

    Example:

    >>> features = keras_capi.evaluation.patch_features(model, images)
    """
    check_positive_integer("batch_size", batch_size)
    outputs = model.predict(images, batch_size=batch_size, verbose=0)
    if isinstance(outputs, dict):
        outputs = outputs.get("feature_map")
    if getattr(outputs, "ndim", 0) != 4:
        raise ValueError(
            "The model must return features of shape (batch, rows, columns, "
            'width), or a dictionary with such a "feature_map". '
            f"Received: {model.name}, which does not"
        )
    return np.asarray(outputs, "float32")
