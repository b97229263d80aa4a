"""What the models around a backbone ask of it."""

from keras_capi.encoders.encoder import Encoder


def check_backbone(backbone):
    """Raises a `ValueError` unless a model is an `Encoder`."""
    if not isinstance(backbone, Encoder):
        raise ValueError(
            "`backbone` must be a `keras_capi.encoders.Encoder`, such as a "
            "`ViT` or the `encoder` of a pretrained model. "
            f"Received: {type(backbone).__name__}"
        )


def check_trainable(backbone):
    """Raises a `ValueError` if a backbone is frozen, as teachers are."""
    if backbone.has_lora:
        raise ValueError(
            "`backbone` must train as a whole: save it with `save_to_preset` "
            "and load it with `from_preset`, which makes LoRA a part of its "
            f"weights. Received: a backbone with lora_rank={backbone.lora_rank}"
        )
    frozen = [
        part.name
        for part in (backbone.encoder, backbone.predictor)
        if not part.trainable_weights
    ]
    if frozen:
        raise ValueError(
            "`backbone` must be trainable: set `backbone.trainable = True`, or "
            "load a copy with `from_preset`. Received: a backbone whose "
            f"{' and '.join(frozen)} cannot train"
        )
