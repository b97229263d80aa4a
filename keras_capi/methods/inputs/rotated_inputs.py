"""Images in all four rotations, made or given by the user."""

import keras
from keras import ops

from keras_capi.methods.inputs.image_groups import check_image_groups
from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.ops.images.rotate_quarters import NUM_TURNS
from keras_capi.ops.images.rotate_quarters import rotate_quarters
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.value_range import check_value_range
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import is_array

NAMES = ("rotated_images", "labels")


def check_rotated_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images or rotations do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    refuse_other_names("rotated images", NAMES, inputs, NAMES)
    if "rotated_images" not in inputs:
        images = inputs.get("images")
        if is_array(images):
            check_images(images, encoder.patch_size, encoder.image_shape[-1])
        return
    images, labels = (inputs[name] for name in NAMES)
    if not is_array(images) or not is_array(labels):
        return
    check_image_groups(
        "rotated_images", images, "turns", encoder, may_vary=True
    )
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if not (
        may_match(tuple(labels.shape), tuple(images.shape[:2]))
        and keras.backend.is_int_dtype(dtype)
    ):
        raise ValueError(
            "`labels` must be integers of shape (batch, turns), the quarter "
            f"turns of `rotated_images`. Received: dtype {dtype}, shape "
            f"{tuple(labels.shape)} for rotated_images.shape="
            f"{tuple(images.shape)}"
        )
    check_value_range("labels", labels, NUM_TURNS, "quarter turns")


def prepare_rotated(encoder, inputs):
    """Rotates images by all quarter turns, unless the user gave rotations.

    Images that are not square are cropped to their middle; otherwise the shape
    would give the rotation away.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary with `"images"`, or with `"rotated_images"` and
            `"labels"`.

    Returns:
        Dictionary of `"rotated_images"`, of shape `(batch, turns, size, size,
        channels)`, and `"labels"`, integers of shape `(batch, turns)`.
    """
    check_rotated_inputs(encoder, inputs)
    if "rotated_images" in inputs:
        return inputs
    images = inputs["images"]
    patch_size, num_channels = encoder.patch_size, images.shape[-1]
    # On TensorFlow only the encoder may know the size.
    height, width = (
        count * patch_size for count in static_grid_size(images, encoder)
    )
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    images = images[:, top : top + size, left : left + size]
    images = ops.reshape(images, (-1, size, size, num_channels))
    return dict(zip(NAMES, rotate_quarters(images), strict=True))
