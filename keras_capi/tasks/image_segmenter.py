import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.saving.quantization import head_dtype
from keras_capi.tasks.fine_tuned_model import FineTunedModel


# Registered under its first name, which saved files contain.
@keras.saving.register_keras_serializable("keras_capi", name="CAPISegmenter")
class ImageSegmenter(FineTunedModel):
    """Labels every pixel, with an upsampled linear classifier on patches.

    Args:
        backbone: `keras_capi.encoders.Encoder`, such as the `encoder` of a
            pretrained model, or one from a preset. It is not copied. If it is
            frozen as a whole it gets unfrozen; parts that were frozen
            individually stay frozen.
        num_classes: Integer. Number of classes.
        freeze_backbone: Boolean. Whether to train only the head. You can also
            change it later, or its opposite, `backbone.trainable`, and compile
            again. Defaults to `False`.
        dropout: Float in `[0, 1)`. Dropout before the classifier. Defaults to
            `0.0`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by the patch size, unless
            the encoder pads.
        training: Boolean. Whether to apply dropout and stochastic depth.

    Output shape:
        Logits of shape `(batch, height, width, num_classes)`, float32,
        bilinearly interpolated between the centres of patches.

    Raises:
        ValueError: If an argument is out of range or of the wrong type.

    Example:

    >>> segmenter = keras_capi.tasks.ImageSegmenter(backbone, num_classes=21)
    >>> segmenter.compile(
    ...     keras_capi.optimizers.LayerDecayAdamW(1e-4, backbone.num_layers),
    ...     keras.losses.SparseCategoricalCrossentropy(
    ...         from_logits=True, ignore_class=255
    ...     ),
    ... )
    >>> segmenter.fit(images, masks, epochs=5)  # masks: (n, height, width)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(
        self,
        backbone,
        num_classes,
        freeze_backbone=False,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(
            backbone,
            num_classes,
            freeze_backbone,
            dropout,
            uses_global=False,
            **kwargs,
        )
        with keras.RematScope(mode=None):
            self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.classifier = Dense(
            num_classes,
            dtype=head_dtype(self.dtype_policy),
            name="classifier",
        )
        self.classifier.build((None, None, backbone.hidden_dim))
        self.built = True

    def call(self, images, training=None):
        backbone = self.backbone
        outputs = backbone.encode_images(
            images, training=training and not self.freeze_backbone
        )
        # Interpolation is linear, so it can follow the classifier, which has
        # fewer channels.
        logits = self.classifier(
            self.dropout(outputs["patches"], training=training)
        )
        height, width = ops.shape(images)[1:3]
        # Not rows times patch size: an encoder may resize the images.
        padded = [n + -n % backbone.patch_size for n in (height, width)]
        logits = ops.image.resize(
            backbone.as_map(logits, images),
            padded,
            interpolation="bilinear",
            data_format="channels_last",
        )
        # The encoder's padding has no labels.
        return logits[:, :height, :width]

    def compute_output_spec(self, images, training=None):
        self.backbone.compute_output_spec(images)
        return keras.KerasTensor(
            (*images.shape[:3], self.num_classes), "float32"
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.backbone),
            "num_classes": self.num_classes,
            "freeze_backbone": self.freeze_backbone,
            "dropout": self.dropout.rate,
        }
