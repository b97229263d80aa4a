"""Checks of masks that are given with the images."""

import keras
import numpy as np
from keras import ops

from keras_capi.methods.inputs.wrong_names import wrong_names
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.value_range import check_value_range
from keras_capi.validation import is_array
from keras_capi.validation import known_shape

INDEX_NAMES = ("visible_indices", "predict_indices")


def check_index_shapes(inputs, blocks=False):
    """Raises a `ValueError` unless the given masks of a batch are well formed.

    Args:
        inputs: Dictionary of arrays or tensors, with one row for each image.
        blocks: Boolean. Whether an image may have several masks of each kind,
            along a middle axis. Defaults to `False`.
    """
    ranks = (2, 3) if blocks else (2,)
    either = " or (batch, blocks, count)" if blocks else ""
    expected = {"images", *INDEX_NAMES}
    if set(inputs) != expected:
        raise wrong_names("masks", expected, inputs)
    for name in INDEX_NAMES:
        indices = inputs[name]
        shape = known_shape(name, indices) if is_array(indices) else None
        if shape is None or len(shape) not in ranks or 0 in shape[1:]:
            raise ValueError(
                f"`{name}` must be an array of shape (batch, count){either}, "
                "with the same count of at least 1 for each image. "
                f"Received: shape {shape}"
            )
        if not may_match(shape[:1], inputs["images"].shape[:1]):
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
        inputs: Dictionary of arrays or tensors whose values are known.
        num_patches: Integer. Patches of an image.
    """
    arrays = [_to_numpy(inputs[name]) for name in INDEX_NAMES]
    for name, indices in zip(INDEX_NAMES, arrays, strict=True):
        _check_range(name, indices, num_patches)
    repeated = _repeats(np.concatenate(arrays, axis=1))
    if repeated.any():
        raise ValueError(
            "`visible_indices` and `predict_indices` must name each patch of "
            "an image once at most: what is visible is not to be predicted. "
            f"Received: repeated patches in {repeated.sum()} of "
            f"{len(repeated)} images"
        )


def check_block_array(name, indices, mask, num_patches):
    """Raises a `ValueError` unless each block holds patches, each once.

    Different blocks may share patches.

    Args:
        name: String. The name of the input.
        indices: Integer array or tensor of shape `(batch, blocks, count)` or
            `(batch, count)`, whose values are known.
        mask: Boolean array or tensor of that shape, true for those that are not
            padding, or `None` for all.
        num_patches: Integer. Patches of an image.
    """
    indices = _to_numpy(indices)
    if mask is not None:
        mask = _to_numpy(mask)
        # Padding may be anything, and is no repetition.
        padding = np.broadcast_to(-1 - np.arange(mask.shape[-1]), mask.shape)
        _check_range(name, indices[mask], num_patches)
        indices = np.where(mask, indices, padding)
    else:
        _check_range(name, indices, num_patches)
    repeated = _repeats(indices)
    if repeated.any():
        raise ValueError(
            f"`{name}` must name each patch once at most in a block. "
            f"Received: repeated patches in {repeated.sum()} of "
            f"{repeated.size} blocks"
        )


def mark_invalid(images, indices, valid, num_patches):
    """Makes images NaN if their masks are invalid, so that the loss shows it.

    A compiled step cannot raise an error, and gathering with invalid indices
    may pass unnoticed or crash the process.

    Args:
        images: Float tensor of shape `(batch, height, width, channels)`.
        indices: Dictionary of integer tensors.
        valid: Boolean scalar tensor.
        num_patches: Integer. Patches of an image.

    Returns:
        Dictionary of `"images"` and the indices, which then all point at
        patches.
    """
    clipped = {k: ops.clip(x, 0, num_patches - 1) for k, x in indices.items()}
    return {"images": ops.where(valid, images, float("nan")), **clipped}


def _to_numpy(values):
    return np.asarray(keras.ops.convert_to_numpy(values))


def _check_range(name, indices, num_patches):
    check_value_range(name, indices, num_patches, "the patches of an image")


def _repeats(indices):
    """Returns which rows name a patch twice."""
    ordered = np.sort(indices, axis=-1)
    return (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
