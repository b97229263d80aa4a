"""Checks of masks that come with the images."""

import keras
import numpy as np
from keras import ops

from keras_capi.validation import is_array
from keras_capi.validation import known_shape

INDEX_NAMES = ("visible_indices", "predict_indices")


def check_index_shapes(inputs, blocks=False):
    """Raises a `ValueError` unless a batch with own masks is well formed.

    Args:
        inputs: Dictionary of arrays or tensors, one a row for each image.
        blocks: Boolean. Whether there may be several masks of each kind for an
            image, along an axis in between. Defaults to `False`.
    """
    ranks = (2, 3) if blocks else (2,)
    either = " or (batch, blocks, count)" if blocks else ""
    expected = {"images", *INDEX_NAMES}
    if set(inputs) != expected:
        raise ValueError(
            f"Inputs with own masks must have the keys {sorted(expected)}. "
            f"Received: {sorted(inputs)}"
        )
    for name in INDEX_NAMES:
        indices = inputs[name]
        shape = known_shape(name, indices) if is_array(indices) else None
        if shape is None or len(shape) not in ranks or 0 in shape[1:]:
            raise ValueError(
                f"`{name}` must be an array of shape (batch, count){either}, "
                "with the same count of at least 1 for each image. "
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
    arrays = _arrays_in_range(inputs, num_patches)
    repeated = _repeats(np.concatenate(list(arrays.values()), axis=1))
    if repeated.any():
        raise ValueError(
            "`visible_indices` and `predict_indices` must name each patch of "
            "an image once at most: what is visible is not to be predicted. "
            f"Received: repeated patches in {repeated.sum()} of "
            f"{len(repeated)} images"
        )


def check_block_arrays(inputs, num_patches):
    """Raises a `ValueError` unless blocks hold patches, each of them once.

    Blocks may have patches in common, though.

    Args:
        inputs: As in `check_index_arrays`, and so is `num_patches`.
    """
    for name, indices in _arrays_in_range(inputs, num_patches).items():
        repeated = _repeats(indices)
        if repeated.any():
            raise ValueError(
                f"`{name}` must name each patch once at most in a block. "
                f"Received: repeated patches in {repeated.sum()} of "
                f"{repeated.size} blocks"
            )


def mark_invalid(images, indices, valid, num_patches):
    """Makes images NaN if their masks are not valid, so that the loss tells it.

    A compiled step cannot raise, and gathering may not either, or end the
    process.

    Args:
        images: Float tensor of shape `(batch, height, width, channels)`.
        indices: Dictionary of integer tensors.
        valid: Boolean scalar tensor.
        num_patches: Integer. Patches of an image.

    Returns:
        Dictionary of `"images"` and the indices, which are those of patches.
    """
    clipped = {k: ops.clip(x, 0, num_patches - 1) for k, x in indices.items()}
    return {"images": ops.where(valid, images, float("nan")), **clipped}


def _arrays_in_range(inputs, num_patches):
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
    return arrays


def _repeats(indices):
    """Which rows name a patch twice."""
    ordered = np.sort(indices, axis=-1)
    return (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
