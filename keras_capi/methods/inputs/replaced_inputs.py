"""Images with masks of patches to replace, drawn or given by the user."""

import keras

from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.wrong_names import wrong_names
from keras_capi.ops.known_axes import may_match
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array
from keras_capi.validation import known_shape


def check_replaced_inputs(encoder, inputs):
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
        _check_mask(encoder, inputs)


def prepare_replaced(encoder, masking, inputs):
    """Adds a mask to images, unless the user gave one.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer from images and `grid_size` to `{"mask": ...}`.
        inputs: Dictionary with `"images"`, and optionally `"mask"`.

    Returns:
        Dictionary of `"images"` and `"mask"`, a Boolean tensor of shape
        `(batch, patches)`.
    """
    images = inputs["images"]
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    if len(inputs) > 1:
        _check_mask(encoder, inputs)
        return inputs
    grid_size = static_grid_size(images, encoder)
    return {"images": images, **MASK.draw(masking, images, grid_size)}


def _check_mask(encoder, inputs):
    if set(inputs) != {"images", "mask"}:
        raise wrong_names("masks", ("images", "mask"), inputs)
    images, mask = inputs["images"], inputs["mask"]
    shape = known_shape("mask", mask) if is_array(mask) else None
    rows, columns = static_grid_size(images, encoder)
    if shape is None or len(shape) != 2 or shape[1] != rows * columns:
        raise ValueError(
            f"`mask` must be an array of shape (batch, {rows * columns}), a "
            f"Boolean for each patch. Received: shape {shape}"
        )
    if not may_match(shape[:1], images.shape[:1]):
        raise ValueError(
            "`mask` must have a row for each image. Received: shape "
            f"{shape} for images.shape={tuple(images.shape)}"
        )
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        raise ValueError(
            f"`mask` must be Boolean: true where hidden. Received: dtype "
            f"{dtype}"
        )
