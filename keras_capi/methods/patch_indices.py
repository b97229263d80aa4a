"""Checks of masks that come with the images."""

import keras
import numpy as np

from keras_capi.validation import is_array
from keras_capi.validation import known_shape

INDEX_NAMES = ("visible_indices", "predict_indices")


def check_index_shapes(inputs):
    """Raises a `ValueError` unless a batch with own masks is well formed.

    Args:
        inputs: Dictionary of arrays or tensors, one a row for each image.
    """
    expected = {"images", *INDEX_NAMES}
    if set(inputs) != expected:
        raise ValueError(
            f"Inputs with own masks must have the keys {sorted(expected)}. "
            f"Received: {sorted(inputs)}"
        )
    for name in INDEX_NAMES:
        indices = inputs[name]
        shape = known_shape(name, indices) if is_array(indices) else None
        if shape is None or len(shape) != 2 or shape[1] == 0:
            raise ValueError(
                f"`{name}` must be an array of shape (batch, count), with the "
                "same count of at least 1 for each image. "
                f"Received: shape {shape}"
            )
        if shape[0] != inputs["images"].shape[0]:
            raise ValueError(
                f"`{name}` must have a row for each image. Received: shape "
                f"{shape} for images.shape={tuple(inputs['images'].shape)}"
            )
        dtype = keras.backend.standardize_dtype(indices.dtype)
        if not keras.backend.is_int_dtype(dtype):
            raise ValueError(
                f"`{name}` must be integers. Received: dtype {dtype}"
            )


def check_index_arrays(inputs, num_patches):
    """Raises a `ValueError` unless all indices point at patches, once each.

    Args:
        inputs: Dictionary of arrays or tensors with values at hand.
        num_patches: Integer. Patches of an image.
    """
    arrays = {
        name: np.asarray(keras.ops.convert_to_numpy(inputs[name]))
        for name in INDEX_NAMES
    }
    for name, indices in arrays.items():
        low, high = indices.min(), indices.max()
        if low < 0 or high >= num_patches:
            raise ValueError(
                f"`{name}` must be in [0, {num_patches}), the patches of an "
                f"image. Received: values from {low} to {high}"
            )
    together = np.sort(np.concatenate(list(arrays.values()), axis=1), axis=1)
    repeated = (together[:, 1:] == together[:, :-1]).any(axis=1)
    if repeated.any():
        raise ValueError(
            "`visible_indices` and `predict_indices` must name each patch of "
            "an image once at most: what is visible is not to be predicted. "
            f"Received: repeated patches in {repeated.sum()} of "
            f"{len(repeated)} images"
        )
