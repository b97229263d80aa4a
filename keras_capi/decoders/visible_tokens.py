"""The tokens that decoders get, and the places of these."""

import keras

from keras_capi.ops.known_axes import may_match


def check_visible_tokens(patches, visible_indices):
    """Raises a `ValueError` unless there is an index for each token.

    Tokens without one would be taken for others, or left out.

    Args:
        patches: Tensor of shape `(batch, visible, width)`.
        visible_indices: Tensor of shape `(batch, visible)`.
    """
    shape, expected = tuple(visible_indices.shape), tuple(patches.shape[:2])
    if not may_match(shape, expected):
        raise ValueError(
            "`visible_indices` must have an index for each of `patches`. "
            f"Received: visible_indices.shape={shape}, patches.shape="
            f"{tuple(patches.shape)}"
        )
    dtype = keras.backend.standardize_dtype(visible_indices.dtype)
    if not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            "`visible_indices` must be integers. "
            f"Received: visible_indices.dtype={dtype}"
        )
