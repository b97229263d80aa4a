"""Checks of callbacks' images before the training starts."""

import keras
import numpy as np

from keras_capi.validation import is_array


def check_callback_images(images, name="images"):
    """Raises a `ValueError` unless there are images with finite values.

    Args:
        images: The argument.
        name: String. Name of the argument. Defaults to `"images"`.
    """
    shape = tuple(images.shape) if is_array(images) else None
    if shape is None or len(shape) != 4 or 0 in shape:
        raise ValueError(
            f"`{name}` must be an array of shape (samples, height, width, "
            f"channels). Received: {type(images).__name__} of shape {shape}"
        )
    if not np.isfinite(keras.ops.convert_to_numpy(images)).all():
        raise ValueError(
            f"`{name}` must be finite. Received: images with NaN or infinity"
        )


def feature_map_shape(model, images):
    """Returns the shape of a model's patch features without computing them.

    Args:
        model: A `keras.Model`, see `keras_capi.evaluation.patch_features`.
        images: Array of shape `(samples, height, width, channels)`.

    Raises:
        ValueError: If the model does not take such images, or does not return
            patch features.
    """
    outputs = model.compute_output_spec(
        keras.KerasTensor(images.shape, images.dtype)
    )
    if isinstance(outputs, dict):
        outputs = outputs.get("feature_map")
    shape = tuple(getattr(outputs, "shape", ()))
    if len(shape) != 4:
        raise ValueError(
            "The model must return features of shape (batch, rows, columns, "
            'width), or a dictionary with such a "feature_map". '
            f"Received: {model.name}, which does not"
        )
    return shape
