"""Images with the lengths of their prefixes, drawn or given by the user."""

import keras
from keras import ops

from keras_capi.methods.inputs.mask_form import PREFIX
from keras_capi.methods.inputs.wrong_names import wrong_names
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.value_range import check_value_range
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array

NAME = "prefix_length"


def check_prefix_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images or lengths do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    images = inputs["images"]
    if not is_array(images):
        return
    if len(inputs) > 1 and set(inputs) != {"images", NAME}:
        raise wrong_names("prefixes", ("images", NAME), inputs)
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    lengths = inputs.get(NAME)
    if not is_array(lengths):
        return
    dtype = keras.backend.standardize_dtype(lengths.dtype)
    if not (
        may_match(tuple(lengths.shape), tuple(images.shape[:1]))
        and keras.backend.is_int_dtype(dtype)
    ):
        raise ValueError(
            f"`{NAME}` must be integers of shape (batch,), one for each image. "
            f"Received: dtype {dtype}, shape {tuple(lengths.shape)} for "
            f"images.shape={tuple(images.shape)}"
        )
    rows, columns = static_grid_size(images, encoder)
    check_value_range(
        NAME, lengths, rows * columns, "as a patch must be left to predict"
    )


def prepare_prefixes(encoder, masking, inputs):
    """Draws the prefix length of each image, unless the user gave it.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer from images and `grid_size` to `{"prefix_length": ...}`.
        inputs: Dictionary with `"images"`, and optionally the lengths.

    Returns:
        Dictionary of both.
    """
    check_prefix_inputs(encoder, inputs)
    if NAME in inputs:
        return {**inputs, NAME: ops.cast(inputs[NAME], "int32")}
    images = inputs["images"]
    grid_size = static_grid_size(images, encoder)
    return {"images": images, **PREFIX.draw(masking, images, grid_size)}
