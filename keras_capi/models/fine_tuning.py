"""What the models for labelled images share."""

from keras_capi.models.capi_backbone import CAPIBackbone


def prepare_backbone(backbone, freeze, uses_predictor):
    """Makes a backbone trainable, as far as a head uses it.

    Weights without a gradient would be decayed all the same, and Keras warns of
    them.

    Args:
        backbone: `CAPIBackbone`.
        freeze: Boolean. Whether to train no weight of it.
        uses_predictor: Boolean. Whether the head takes the global feature,
            which comes from the predictor's first block.
    """
    if not isinstance(backbone, CAPIBackbone):
        raise ValueError(
            "`backbone` must be a `CAPIBackbone`, such as `model.teacher`. "
            f"Received: {type(backbone).__name__}"
        )
    if freeze:
        backbone.trainable = False
        return
    if not backbone.has_lora:
        backbone.trainable = True
        backbone.set_rotary_trainable(False)
    unused = [backbone.predictor]
    if uses_predictor:
        unused = backbone.predictor.blocks[1:]
    for part in unused:
        part.trainable = False
