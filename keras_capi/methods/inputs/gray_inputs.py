"""Images without colours, together with the colours."""

from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.ops.known_axes import may_match
from keras_capi.validation import check_images
from keras_capi.validation import is_array
from keras_capi.validation import known_shape

NAMES = {"corrupted_images", "colors"}


def check_gray_inputs(encoder, stride, inputs):
    """Raises a `ValueError` if arrays of images do not fit the encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        stride: Integer. There is one colour for this many pixels, in each
            direction.
        inputs: Dictionary of arrays.
    """
    if set(inputs) == {"images"}:
        if is_array(inputs["images"]):
            check_images(inputs["images"], encoder.patch_size, 3)
        return
    refuse_other_names("colours beside gray images", NAMES, inputs, NAMES)
    images, colors = inputs["corrupted_images"], inputs["colors"]
    if not is_array(images) or not is_array(colors):
        return
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    count, *size, _ = known_shape("corrupted_images", images)
    rows, columns = (None if n is None else n // stride for n in size)
    expected = (count, rows, columns, 2)
    if not may_match(known_shape("colors", colors), expected):
        raise ValueError(
            f"`colors` must have shape (batch, height / {stride}, width / "
            f"{stride}, 2), here {expected}. "
            f"Received: colors.shape={tuple(colors.shape)}"
        )
