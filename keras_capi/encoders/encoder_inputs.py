import math

from keras_capi.validation import check_images
from keras_capi.validation import check_layers


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
    elif visible_indices is not None and len(visible_indices.shape) != 2:
        raise ValueError(
            "`visible_indices` must have shape (batch, visible). Received: "
            f"visible_indices.shape={tuple(visible_indices.shape)}"
        )


def _check_mask(encoder, images, mask, mask_token):
    # Other shapes would be broadcast, and hide the wrong patches.
    grid_size = encoder.grid_size(images.shape[1:])
    num_patches = None if None in grid_size else math.prod(grid_size)
    shape = tuple(mask.shape)
    if (
        len(shape) != 2
        or None not in (shape[1], num_patches)
        and (shape[1] != num_patches)
    ):
        raise ValueError(
            f"`mask` must have shape (batch, {num_patches or 'patches'}). "
            f"Received: mask.shape={shape}"
        )
    shape = tuple(mask_token.shape)
    if shape != (encoder.hidden_dim,):
        raise ValueError(
            f"`mask_token` must have shape ({encoder.hidden_dim},). "
            f"Received: mask_token.shape={shape}"
        )
