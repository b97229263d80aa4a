import keras
from keras import ops

from keras_capi.layers.attention_pooling import AttentionPooling
from keras_capi.layers.dense import Dense
from keras_capi.saving.quantization import head_dtype
from keras_capi.tasks.fine_tuned_model import FineTunedModel

POOLINGS = ("global", "average", "attention")


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIClassifier(FineTunedModel):
    """Classifies images by the features of a backbone.

    With `freeze_backbone=True` it is a probe: fast, and enough where there are
    few labels. Otherwise the whole network is fine-tuned; take
    `keras_capi.optimizers.LayerDecayAdamW` for it.

    Args:
        backbone: `keras_capi.models.CAPIBackbone`, such as `model.teacher` or
            one from a preset. It is used itself, not a copy. One that is frozen
            as a whole is unfrozen; parts frozen one by one stay so.
        num_classes: Integer.
        pooling: What to classify: `"global"`, the backbone's global feature;
            `"average"`, the mean of the patch features; or `"attention"`, the
            patch features through `keras_capi.layers.AttentionPooling`.
            Defaults to `"global"`.
        freeze_backbone: Boolean. Whether to train the head only; can be set
            later, before compiling anew, as can `backbone.trainable`, its
            opposite. Defaults to `False`.
        dropout: Float in `[0, 1)`, before the classifier. Defaults to `0.0`.
        activation: Activation of the output. `None` returns logits. Defaults
            to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by the patch size.
        training: Boolean. Whether to apply dropout and stochastic depth.

    Output shape:
        `(batch, num_classes)`, float32.

    Raises:
        ValueError: If an argument is out of range or of another kind.

    Example:

    >>> classifier = keras_capi.models.CAPIClassifier(
    ...     backbone, num_classes=10, freeze_backbone=True
    ... )
    >>> classifier.compile(
    ...     "adamw",
    ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ...     metrics=["accuracy"],
    ... )
    >>> classifier.fit(images, labels, epochs=5)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(
        self,
        backbone,
        num_classes,
        pooling="global",
        freeze_backbone=False,
        dropout=0.0,
        activation=None,
        **kwargs,
    ):
        if pooling not in POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {POOLINGS}. "
                f"Received: pooling={pooling!r}"
            )
        super().__init__(
            backbone,
            num_classes,
            freeze_backbone,
            dropout,
            uses_predictor=pooling == "global",
            **kwargs,
        )
        self.pooling = pooling
        width = backbone.encoder.hidden_dim
        if pooling == "attention":
            self.attention_pooling = AttentionPooling(
                dtype=backbone.dtype_policy, name="attention_pooling"
            )
            self.attention_pooling.build((None, None, width))
        elif pooling == "global":
            width = backbone.predictor.hidden_dim
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.classifier = Dense(
            num_classes,
            activation=activation,
            dtype=head_dtype(self.dtype_policy),
            name="classifier",
        )
        self.classifier.build((None, width))
        self.built = True

    def call(self, images, training=None):
        backbone_training = training and not self.freeze_backbone
        if self.pooling == "global":
            pooled = self.backbone(images, training=backbone_training)["global"]
        else:
            # Without the predictor, which only the global feature needs.
            patches = self.backbone.encode_patches(images, backbone_training)
            if self.pooling == "attention":
                pooled = self.attention_pooling(patches)
            else:
                pooled = ops.mean(patches, axis=1)
        return self.classifier(self.dropout(pooled, training=training))

    def compute_output_spec(self, images, training=None):
        self.backbone.compute_output_spec(images)
        return keras.KerasTensor((images.shape[0], self.num_classes), "float32")

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.backbone),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "freeze_backbone": self.freeze_backbone,
            "dropout": self.dropout.rate,
            "activation": keras.activations.serialize(
                self.classifier.activation
            ),
        }
