"""Images with several masks each, drawn or given by the user."""

from keras import ops

from keras_capi.methods.inputs.mask_form import BLOCKS
from keras_capi.methods.inputs.mask_form import is_own
from keras_capi.methods.inputs.patch_indices import INDEX_NAMES
from keras_capi.methods.inputs.patch_indices import check_block_arrays
from keras_capi.methods.inputs.patch_indices import check_index_shapes
from keras_capi.methods.inputs.patch_indices import mark_invalid
from keras_capi.ops.tokens import to_int32
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array

MASK_NAMES = ("visible_mask", "predict_mask")


def check_block_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images or masks do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    images = inputs.get("images")
    if images is not None and not is_array(images):
        return
    has_masks = len(inputs) > 1 and not _is_prepared(inputs)
    if has_masks:
        check_index_shapes(inputs, blocks=True)
    patch_size = encoder.patch_size
    check_images(images, patch_size, encoder.image_shape[-1])
    if has_masks:
        rows, columns = (size // patch_size for size in images.shape[1:3])
        check_block_arrays(inputs, rows * columns)


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
    if _is_prepared(inputs):
        return inputs
    grid_size = static_grid_size(images, encoder)
    are_given = len(inputs) > 1
    if are_given:
        check_index_shapes(inputs, blocks=True)
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
        ops.all(ops.logical_and(values >= 0, values < num_patches))
        for values in indices.values()
    ]
    valid = ops.logical_and(*valid)
    return {**masks, **mark_invalid(images, indices, valid, num_patches)}


def _is_prepared(inputs):
    return set(inputs) == {"images", *INDEX_NAMES, *MASK_NAMES}


def _with_blocks(values):
    """Adds the axis of blocks to what a masking without blocks draws."""
    return values if len(values.shape) == 3 else values[:, None]
