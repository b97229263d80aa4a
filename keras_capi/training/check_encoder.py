from keras_capi.encoders.encoder import Encoder


def check_encoder(encoder):
    """Raises a `ValueError` unless something is an encoder.

    Args:
        encoder: What the user gave.
    """
    if not isinstance(encoder, Encoder):
        raise ValueError(
            "`encoder` must be a `keras_capi.encoders.Encoder`, such as a "
            f"`ViT`. Received: {type(encoder).__name__}"
        )
