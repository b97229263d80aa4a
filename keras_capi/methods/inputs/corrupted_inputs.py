"""Images with corrupted versions, drawn or given by the user."""

import keras
from keras import ops

from keras_capi.methods.inputs.mask_form import CORRUPTED
from keras_capi.methods.inputs.wrong_names import wrong_names
from keras_capi.ops.known_axes import may_match
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array
from keras_capi.validation import known_shape

NAMES = ("images", "corrupted_images", "mask")


def check_corrupted_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images do not fit the encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    images = inputs["images"]
    if not is_array(images):
        return
    if len(inputs) > 1 and set(inputs) != set(NAMES):
        raise wrong_names("corrupted images", NAMES, inputs)
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    shapes = {k: known_shape(k, v) for k, v in inputs.items() if is_array(v)}
    if not all(may_match(shape, shapes["images"]) for shape in shapes.values()):
        raise ValueError(
            "Corrupted images and masks must have the shape of the images. "
            f"Received: {shapes}"
        )
    dtypes = {
        name: keras.backend.standardize_dtype(inputs[name].dtype)
        for name in shapes
    }
    if dtypes.get("mask", "bool") != "bool":
        raise ValueError(
            "`mask` must be Boolean: true where corrupted. Received: dtype "
            f"{dtypes['mask']}"
        )
    if not keras.backend.is_float_dtype(
        dtypes.get("corrupted_images", "float32")
    ):
        raise ValueError(
            "`corrupted_images` must be floating point, normalised as the "
            f"images are. Received: dtype {dtypes['corrupted_images']}"
        )


def prepare_corrupted(encoder, corruption, inputs):
    """Adds corrupted versions to images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        corruption: Layer from images and `grid_size` to
            `{"corrupted_images": ..., "mask": ...}`.
        inputs: Dictionary with `"images"`, and optionally the corrupted ones.

    Returns:
        Dictionary of `"images"`, `"corrupted_images"` and `"mask"`, a Boolean
        tensor, all of one shape.
    """
    check_corrupted_inputs(encoder, inputs)
    rows, columns = grid_size = static_grid_size(inputs["images"], encoder)
    size = rows * encoder.patch_size, columns * encoder.patch_size
    # On TensorFlow only the encoder may know the size.
    inputs = {
        name: ops.reshape(x, (ops.shape(x)[0], *size, encoder.image_shape[-1]))
        for name, x in inputs.items()
    }
    if len(inputs) > 1:
        return inputs
    return {**inputs, **CORRUPTED.draw(corruption, inputs["images"], grid_size)}
