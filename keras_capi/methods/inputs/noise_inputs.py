"""Images with the noise that draws their words, made or given by the user."""

import keras
from keras import ops

from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.ops.gumbel_softmax import exponential_noise
from keras_capi.ops.known_axes import may_match
from keras_capi.training.tried_part import describe
from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_noise_inputs(encoder, vocabulary_size, inputs):
    """Raises a `ValueError` if arrays of images or noise do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        vocabulary_size: Integer. Number of words.
        inputs: Dictionary of arrays.
    """
    refuse_other_names("noise", ("noise",), inputs)
    images = inputs.get("images")
    if not is_array(images):
        return
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    if "noise" not in inputs:
        return
    noise = inputs["noise"]
    grid_size = encoder.grid_size(images.shape[1:])
    expected = (images.shape[0], *grid_size, vocabulary_size)
    if not (
        is_array(noise)
        and keras.backend.is_float_dtype(
            keras.backend.standardize_dtype(noise.dtype)
        )
        and may_match(tuple(noise.shape), expected)
    ):
        raise ValueError(
            "`noise` must be floating point, of shape (batch, rows, columns, "
            f"vocabulary_size), here {expected}. Received: {describe(noise)}"
        )


def prepare_noise(encoder, vocabulary_size, random_state, inputs):
    """Draws noise for images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        vocabulary_size: Integer. Number of words.
        random_state: `keras_capi.layers.RandomState`.
        inputs: Dictionary with `"images"`, and optionally `"noise"`.

    Returns:
        Dictionary of both, noise of shape `(batch, rows, columns,
        vocabulary_size)`.
    """
    check_noise_inputs(encoder, vocabulary_size, inputs)
    if "noise" in inputs:
        return inputs
    images = inputs["images"]
    count, *size, _ = ops.shape(images)
    shape = (count, *encoder.grid_size(size), vocabulary_size)
    noise = exponential_noise(random_state.uniform(shape))
    return {"images": images, "noise": noise}
