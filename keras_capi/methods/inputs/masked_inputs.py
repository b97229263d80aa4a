"""Images with masks, drawn or given by the user."""

from keras_capi.methods.inputs.mask_form import INDICES
from keras_capi.methods.inputs.mask_form import is_own
from keras_capi.methods.inputs.patch_indices import INDEX_NAMES
from keras_capi.methods.inputs.patch_indices import check_index_arrays
from keras_capi.methods.inputs.patch_indices import check_index_shapes
from keras_capi.methods.inputs.patch_indices import mark_invalid
from keras_capi.ops.tokens import indices_are_distinct
from keras_capi.ops.tokens import to_int32
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_masked_inputs(encoder, inputs):
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
        check_index_shapes(inputs)
        rows, columns = encoder.grid_size(images.shape[1:])
        check_index_arrays(inputs, rows * columns)


def prepare_masks(encoder, masking, inputs):
    """Adds masks to images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer from images and `grid_size` to masks.
        inputs: Dictionary with `"images"` and optionally masks.

    Returns:
        Dictionary of `"images"`, `"visible_indices"` and `"predict_indices"`.
        If the user's masks name a patch twice, or one that does not exist, the
        images are NaN.
    """
    images = inputs["images"]
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    grid_size = static_grid_size(images, encoder)
    if len(inputs) > 1:
        check_index_shapes(inputs)
    else:
        inputs = INDICES.draw(masking, images, grid_size)
        if not is_own(masking):
            return {"images": images, **inputs}
    indices = {name: to_int32(inputs[name]) for name in INDEX_NAMES}
    num_patches = grid_size[0] * grid_size[1]
    valid = indices_are_distinct(*indices.values(), num_patches)
    return mark_invalid(images, indices, valid, num_patches)
