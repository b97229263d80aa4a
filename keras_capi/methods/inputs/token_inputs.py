"""Words of patches that are given with the images."""

import keras

from keras_capi.ops.known_axes import may_match
from keras_capi.ops.value_range import check_value_range
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import is_array
from keras_capi.validation import known_shape


def check_token_ids(token_ids, images, encoder, vocabulary_size):
    """Raises a `ValueError` unless there is a word for each patch.

    Args:
        token_ids: The input to check, integers of shape `(batch, patches)`.
        images: Array or tensor of shape `(batch, height, width, channels)`.
        encoder: `keras_capi.encoders.Encoder`.
        vocabulary_size: Integer. Number of words.
    """
    shape = known_shape("token_ids", token_ids) if is_array(token_ids) else None
    rows, columns = static_grid_size(images, encoder)
    expected = (images.shape[0], rows * columns)
    if shape is None or not may_match(shape, expected):
        raise ValueError(
            f"`token_ids` must be an array of shape {expected}, a word for "
            f"each patch. Received: shape {shape}"
        )
    dtype = keras.backend.standardize_dtype(token_ids.dtype)
    if not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            f"`token_ids` must be integers. Received: dtype {dtype}"
        )
    check_value_range(
        "token_ids", token_ids, vocabulary_size, "as the tokenizer's"
    )
