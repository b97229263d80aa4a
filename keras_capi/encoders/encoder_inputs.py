from keras_capi.validation import check_images
from keras_capi.validation import check_layers


def check_encoder_inputs(
    encoder, images, visible_indices, mask, mask_token, layers
):
    """Raises a `ValueError` unless an encoder can take what it is called with.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        images: What it is called with, and so are `visible_indices`, `mask`,
            `mask_token` and `layers`.
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
