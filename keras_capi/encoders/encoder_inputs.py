import math

import keras

from keras_capi.ops.known_axes import may_match
from keras_capi.validation import check_images
from keras_capi.validation import check_layers
from keras_capi.validation import is_array


def check_encoder_inputs(
    encoder, images, visible_indices, mask, mask_token, layers
):
    """Raises a `ValueError` unless an encoder accepts its call arguments.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        images: A call argument, like `visible_indices`, `mask`, `mask_token`
            and `layers`.
    """
    check_images(images, encoder.divisor, encoder.image_shape[-1])
    check_layers(layers, encoder.num_layers)
    if (mask is None) != (mask_token is None):
        raise ValueError(
            "`mask` and `mask_token` must be given together. "
            f"Received: mask={mask}, mask_token={mask_token}"
        )
    if mask is not None and visible_indices is not None:
        raise ValueError(
            "Only one of `mask` and `visible_indices` can be given: patches"
            " are replaced or dropped. Received both."
        )
    if mask is not None:
        _check_mask(encoder, images, mask, mask_token)
    else:
        check_visible_indices(images, visible_indices)


def check_visible_indices(images, visible_indices):
    """Raises a `ValueError` unless there are indices of patches of each image.

    A Boolean mask would be taken for the indices 0 and 1.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`.
        visible_indices: The call argument, or `None`.
    """
    if visible_indices is None:
        return
    shape, dtype = _describe(visible_indices)
    if not dtype.startswith(("int", "uint")):
        raise ValueError(
            "`visible_indices` must be an integer array or tensor. "
            f"Received: {dtype}"
        )
    if not may_match(shape, (images.shape[0], None)):
        raise ValueError(
            "`visible_indices` must have shape (batch, visible). Received: "
            f"visible_indices.shape={shape} for {images.shape[0]} images"
        )


def _describe(x):
    """Returns shape and dtype; of what is no tensor, its type as the latter."""
    if not is_array(x):
        return (), type(x).__name__
    return tuple(x.shape), keras.backend.standardize_dtype(x.dtype)


def _check_mask(encoder, images, mask, mask_token):
    shape, dtype = _describe(mask)
    if dtype != "bool" or not shape:
        raise ValueError(
            f"`mask` must be a Boolean array or tensor. Received: {dtype}"
        )
    # Other shapes would be broadcast, and hide the wrong patches.
    grid_size = encoder.grid_size(images.shape[1:])
    num_patches = None if None in grid_size else math.prod(grid_size)
    if not may_match(shape, (images.shape[0], num_patches)):
        raise ValueError(
            f"`mask` must have shape (batch, {num_patches or 'patches'}). "
            f"Received: mask.shape={shape} for {images.shape[0]} images"
        )
    shape = _describe(mask_token)[0]
    if shape != (encoder.hidden_dim,):
        raise ValueError(
            f"`mask_token` must have shape ({encoder.hidden_dim},). "
            f"Received: mask_token.shape={shape}"
        )
