from keras_capi.encoders.encoder import Encoder


def check_backbone(backbone):
    """Raises a `ValueError` unless a model is an `Encoder`."""
    if not isinstance(backbone, Encoder):
        raise ValueError(
            "`backbone` must be a `keras_capi.encoders.Encoder`, such as a "
            "`ViT` or the `encoder` of a pretrained model. "
            f"Received: {type(backbone).__name__}"
        )
