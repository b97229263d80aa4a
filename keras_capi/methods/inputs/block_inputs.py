"""Images with several masks each, drawn or given by the user."""

import keras
from keras import ops

from keras_capi.methods.inputs.mask_form import BLOCKS
from keras_capi.methods.inputs.mask_form import is_own
from keras_capi.methods.inputs.patch_indices import INDEX_NAMES
from keras_capi.methods.inputs.patch_indices import check_block_array
from keras_capi.methods.inputs.patch_indices import check_index_shapes
from keras_capi.methods.inputs.patch_indices import mark_invalid
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.tokens import in_range
from keras_capi.ops.tokens import to_int32
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.tried_part import describe
from keras_capi.validation import check_images
from keras_capi.validation import is_array

# The masks that may come with indices, to say which of them are no padding.
MASK_NAMES = {
    "visible_indices": "visible_mask",
    "predict_indices": "predict_mask",
}


def check_block_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images or masks do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    images = inputs["images"]
    if not is_array(images):
        return
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    if len(inputs) > 1:
        _check_shapes(inputs)
        rows, columns = encoder.grid_size(images.shape[1:])
        for name, mask_name in MASK_NAMES.items():
            check_block_array(
                name, inputs[name], inputs.get(mask_name), rows * columns
            )


def prepare_blocks(encoder, masking, inputs):
    """Adds masks to images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer from images and `grid_size` to masks.
        inputs: Dictionary with `"images"` and optionally masks.

    Returns:
        Dictionary of `"images"`, `"visible_indices"` of shape `(batch,
        contexts, visible)` and `"predict_indices"` of shape `(batch, blocks,
        predictions)`. If these are padded, there are Boolean masks of the same
        shapes. If the user's indices point at no patch, the images are NaN.
    """
    images = inputs["images"]
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    grid_size = static_grid_size(images, encoder)
    are_given = len(inputs) > 1
    if are_given:
        _check_shapes(inputs)
    else:
        inputs = BLOCKS.draw(masking, images, grid_size)
    masks = {
        name: _with_blocks(mask)
        for name, mask in inputs.items()
        if name != "images"
    }
    if not are_given and not is_own(masking):
        return {"images": images, **masks}
    indices = {name: to_int32(masks[name]) for name in INDEX_NAMES}
    num_patches = grid_size[0] * grid_size[1]
    valid = [
        ops.all(_are_valid(values, masks.get(MASK_NAMES[name]), num_patches))
        for name, values in indices.items()
    ]
    valid = ops.logical_and(*valid)
    return {**masks, **mark_invalid(images, indices, valid, num_patches)}


def _check_shapes(inputs):
    masks = {name: inputs.get(name) for name in MASK_NAMES.values()}
    rest = {name: x for name, x in inputs.items() if name not in masks}
    check_index_shapes(rest, blocks=True)
    for name, mask_name in MASK_NAMES.items():
        mask = masks[mask_name]
        if mask_name in inputs and not (
            is_array(mask)
            and keras.backend.standardize_dtype(mask.dtype) == "bool"
            and may_match(tuple(mask.shape), tuple(inputs[name].shape))
        ):
            raise ValueError(
                f"`{mask_name}` must be Boolean, of the shape of `{name}`: "
                f"true where an index counts. Received: {describe(mask)}, for "
                f"{name}.shape={tuple(inputs[name].shape)}"
            )


def _are_valid(indices, mask, num_patches):
    """Returns which indices point at a patch, or are padding."""
    valid = in_range(indices, num_patches)
    return (
        valid if mask is None else ops.logical_or(valid, ops.logical_not(mask))
    )


def _with_blocks(values):
    """Adds the axis of blocks to what a masking without blocks draws."""
    return values if len(values.shape) == 3 else values[:, None]
