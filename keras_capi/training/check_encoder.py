from keras_capi.encoders.encoder import Encoder


def check_encoder(encoder):
    """Raises a `ValueError` unless something is an encoder with weights.

    Args:
        encoder: What the user gave.
    """
    if not isinstance(encoder, Encoder):
        raise ValueError(
            "`encoder` must be a `keras_capi.encoders.Encoder`, such as a "
            f"`ViT`. Received: {type(encoder).__name__}"
        )
    if not encoder.weights:
        raise ValueError(
            "`encoder` must have weights: the constructor of a subclass of "
            "`Encoder` must build its layers, and call `finish` at the end. "
            f"Received: {type(encoder).__name__} without weights"
        )
