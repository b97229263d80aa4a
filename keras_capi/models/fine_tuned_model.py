from keras import ops

from keras_capi.models.backbone_model import BackboneModel
from keras_capi.models.backbone_weights import check_backbone
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_array


class FineTunedModel(BackboneModel):
    """Base of the models for labelled images: a backbone and a head.

    Args:
        backbone: `CAPIBackbone`. It is used itself, not a copy.
        num_classes: Integer.
        freeze_backbone: Boolean. Whether to train the head only.
        dropout: Float in `[0, 1)`.
        uses_predictor: Boolean. Whether the head takes the global feature,
            which comes from the predictor's first block.
    """

    def __init__(
        self,
        backbone,
        num_classes,
        freeze_backbone,
        dropout,
        uses_predictor,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_number("dropout", dropout, "[0, 1)")
        check_positive_integer("num_classes", num_classes)
        check_backbone(backbone)
        self.backbone = backbone
        self.num_classes = num_classes
        self.uses_predictor = uses_predictor
        self.freeze_backbone = freeze_backbone

    @property
    def freeze_backbone(self):
        """Whether only the head trains; compile anew after setting it."""
        return self._freeze_backbone

    @freeze_backbone.setter
    def freeze_backbone(self, freeze):
        self._freeze_backbone = freeze
        backbone = self.backbone
        if freeze:
            backbone.trainable = False
            return
        if not backbone.has_lora:
            backbone.trainable = True
            backbone.set_rotary_trainable(False)
        # Weights without a gradient would be decayed all the same, and Keras
        # warns of them.
        unused = [backbone.predictor]
        if self.uses_predictor:
            unused = backbone.predictor.blocks[1:]
        for part in unused:
            part.trainable = False

    def check_labels(self, labels):
        """Raises a `ValueError` if integer labels are out of range.

        Some backends would train on them all the same. Labels that are not
        integers, and those in data sets, are for the loss to check.

        Args:
            labels: What `fit` and the like take as `y`.
        """
        if not is_array(labels):
            return
        labels = ops.convert_to_numpy(labels)
        ignored = getattr(self.loss, "ignore_class", None)
        valid = (labels >= 0) & (labels < self.num_classes)
        if (
            labels.dtype.kind in "iu"
            and not (valid | (labels == ignored)).all()
        ):
            raise ValueError(
                "Labels must be integers from 0 to `num_classes` - 1. "
                f"Received: labels from {labels.min()} to {labels.max()}, "
                f"num_classes={self.num_classes}"
            )

    def fit(self, x=None, y=None, *args, **kwargs):
        self.check_labels(y)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self.check_labels(y)
        return super().evaluate(x, y, *args, **kwargs)
