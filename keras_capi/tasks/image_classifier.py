from collections.abc import Iterable

import keras
from keras import ops

from keras_capi.encoders.check_backbone import check_backbone
from keras_capi.layers.attention_pooling import AttentionPooling
from keras_capi.layers.blocks.dense import Dense
from keras_capi.saving.quantization import head_dtype
from keras_capi.tasks.fine_tuned_model import FineTunedModel
from keras_capi.tasks.read_out import compute_features
from keras_capi.tasks.read_out import read_feature_name

# Kinds of pooling with their own weights.
LEARNT = ("attention", "average_before_norm")
VECTORS = ("global", "average")


# Registered under its first name, which saved files contain.
@keras.saving.register_keras_serializable("keras_capi", name="CAPIClassifier")
class ImageClassifier(FineTunedModel):
    """Classifies images with the features of a pretrained encoder.

    With `freeze_backbone=True` it is a probe: fast, and enough if there are few
    labels. Otherwise the whole network is fine-tuned; use
    `keras_capi.optimizers.LayerDecayAdamW` for that.

    Args:
        backbone: `keras_capi.encoders.Encoder`, such as the `encoder` of a
            pretrained model, or one from a preset. It is not copied. If it is
            frozen as a whole it gets unfrozen; parts that were frozen
            individually stay frozen.
        num_classes: Integer. Number of classes.
        pooling: What to classify: `"global"`, the encoder's feature of the
            image; `"average"`, the mean of the patch features; `"attention"`,
            the patch features after `keras_capi.layers.AttentionPooling`; or
            `"average_before_norm"`, their mean before the final norm, followed
            by a separate LayerNorm, as MAE is fine-tuned. Or a tuple of names
            of vectors to concatenate, see `keras_capi.tasks.FeatureExtractor`:
            `("global", "average")`, or `("layer_9_global", "layer_10_global",
            "layer_11_global", "layer_12_global")`, as DINO is probed. Defaults
            to `"global"`.
        freeze_backbone: Boolean. Whether to train only the head. You can also
            change it later, or its opposite, `backbone.trainable`, and compile
            again. Defaults to `False`.
        dropout: Float in `[0, 1)`. Dropout before the classifier. Defaults to
            `0.0`.
        activation: Activation of the output. `None` returns logits. Defaults
            to `None`.
        batch_normalization: Boolean. Whether to apply batch normalisation
            before the classifier, without scale and offset, as in MAE's probe.
            Defaults to `False`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by the patch size, unless
            the encoder pads.
        training: Boolean. Whether to apply dropout and stochastic depth.

    Output shape:
        `(batch, num_classes)`, float32.

    Raises:
        ValueError: If an argument is out of range or of the wrong type.

    Example:

    >>> classifier = keras_capi.tasks.ImageClassifier(
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
    - [MAE](https://arxiv.org/abs/2111.06377), appendix A.1
    - [DINO](https://arxiv.org/abs/2104.14294), appendix (linear probes)
    """

    def __init__(
        self,
        backbone,
        num_classes,
        pooling="global",
        freeze_backbone=False,
        dropout=0.0,
        activation=None,
        batch_normalization=False,
        **kwargs,
    ):
        check_backbone(backbone)
        is_learnt = pooling in LEARNT
        parts = {} if is_learnt else _read_vectors(backbone, pooling)
        super().__init__(
            backbone,
            num_classes,
            freeze_backbone,
            dropout,
            uses_global=any(kind == "global" for _, kind in parts.values()),
            normalize=pooling != "average_before_norm",
            last_block=max(
                (number or backbone.num_layers for number, _ in parts.values()),
                default=backbone.num_layers,
            ),
            **kwargs,
        )
        self.pooling = pooling if is_learnt else _as_saved(pooling)
        self._parts = parts
        width = backbone.hidden_dim
        if pooling == "attention":
            self.attention_pooling = AttentionPooling(
                dtype=backbone.dtype_policy, name="attention_pooling"
            )
            self.attention_pooling.build((None, None, width))
        elif pooling == "average_before_norm":
            self.head_norm = keras.layers.LayerNormalization(
                epsilon=1e-6, dtype=backbone.dtype_policy, name="head_norm"
            )
            self.head_norm.build((None, width))
        else:
            width = sum(
                backbone.global_dim if kind == "global" else width
                for _, kind in parts.values()
            )
        self.batch_normalization = None
        if batch_normalization:
            # Its statistics would move twice if they were computed again.
            with keras.RematScope(mode=None):
                self.batch_normalization = keras.layers.BatchNormalization(
                    momentum=0.9,
                    epsilon=1e-6,
                    center=False,
                    scale=False,
                    dtype="float32",
                    name="batch_normalization",
                )
            self.batch_normalization.build((None, width))
        with keras.RematScope(mode=None):
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
        pooled = self._pool(images, training and not self.freeze_backbone)
        if self.batch_normalization is not None:
            pooled = self.batch_normalization(pooled, training=training)
        return self.classifier(self.dropout(pooled, training=training))

    def _pool(self, images, training):
        if self._parts:
            vectors = compute_features(
                self.backbone, images, self._parts, training
            )
            return ops.concatenate(list(vectors.values()), axis=-1)
        patches = self.backbone.encode_images(
            images, training=training, normalize=self.normalize
        )["patches"]
        if self.pooling == "attention":
            return self.attention_pooling(patches)
        return self.head_norm(ops.mean(patches, axis=1))

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
            "batch_normalization": self.batch_normalization is not None,
        }


def _read_vectors(backbone, pooling):
    names = (pooling,) if isinstance(pooling, str) else pooling
    names = tuple(names) if isinstance(names, Iterable) else (names,)
    parts = {name: read_feature_name(backbone, name) for name in names}
    if not parts or any(
        part is None or part[1] not in VECTORS for part in parts.values()
    ):
        raise ValueError(
            f"`pooling` must be one of {(*VECTORS, *LEARNT)}, or a tuple of "
            f"{VECTORS}, 'layer_1_global', 'layer_1_average' and so on. "
            f"Received: pooling={pooling!r}"
        )
    return parts


def _as_saved(pooling):
    return pooling if isinstance(pooling, str) else tuple(pooling)
