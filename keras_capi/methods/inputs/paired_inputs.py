"""Images with several masks each, pairs of visible and predicted patches."""

from keras import ops

from keras_capi.methods.inputs.mask_form import INDICES
from keras_capi.methods.inputs.mask_form import is_own
from keras_capi.methods.inputs.patch_indices import INDEX_NAMES
from keras_capi.methods.inputs.patch_indices import check_index_arrays
from keras_capi.methods.inputs.patch_indices import check_index_shapes
from keras_capi.methods.inputs.patch_indices import mark_invalid
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.tokens import indices_are_distinct
from keras_capi.ops.tokens import to_int32
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_paired_inputs(encoder, inputs):
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
        check_paired_shapes(inputs)
        rows, columns = encoder.grid_size(images.shape[1:])
        check_index_arrays(_each_mask(inputs), rows * columns)


def prepare_paired(encoder, masking, num_masks, inputs):
    """Adds masks to images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer from images and `grid_size` to indices.
        num_masks: Integer. How many masks to draw for an image.
        inputs: Dictionary with `"images"` and optionally masks.

    Returns:
        Dictionary of `"images"`, `"visible_indices"` of shape `(batch, masks,
        visible)` and `"predict_indices"` of shape `(batch, masks,
        predictions)`. If a user's mask names a patch twice, or one that does
        not exist, the images are NaN.
    """
    images = inputs["images"]
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    grid_size = static_grid_size(images, encoder)
    if len(inputs) > 1:
        check_paired_shapes(inputs)
    else:
        # A masking only needs to know how many masks to draw.
        rows = ops.zeros((ops.shape(images)[0] * num_masks,))
        inputs = {
            name: ops.reshape(values, (-1, num_masks, values.shape[-1]))
            for name, values in INDICES.draw(masking, rows, grid_size).items()
        }
        if not is_own(masking):
            return {"images": images, **inputs}
    indices = {name: to_int32(inputs[name]) for name in INDEX_NAMES}
    num_patches = grid_size[0] * grid_size[1]
    valid = indices_are_distinct(*_each_mask(indices).values(), num_patches)
    indices = {
        name: values if len(values.shape) == 3 else values[:, None]
        for name, values in indices.items()
    }
    return mark_invalid(images, indices, valid, num_patches)


def check_paired_shapes(inputs):
    """Raises a `ValueError` unless both kinds of indices are of the same masks.

    Args:
        inputs: Dictionary of arrays or tensors.
    """
    check_index_shapes(inputs, blocks=True)
    shapes = [tuple(inputs[name].shape) for name in INDEX_NAMES]
    if not may_match(shapes[0][:-1], shapes[1][:-1]):
        raise ValueError(
            "`visible_indices` and `predict_indices` must be of the same "
            f"masks. Received: shapes {shapes[0]} and {shapes[1]}"
        )


def _each_mask(indices):
    """Flattens the masks of all images to one row each."""
    return {
        name: ops.reshape(indices[name], (-1, ops.shape(indices[name])[-1]))
        for name in INDEX_NAMES
    }
