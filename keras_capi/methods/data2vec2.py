import math

import keras
from keras import ops

from keras_capi.decoders.convolutional_predictor import ConvolutionalPredictor
from keras_capi.encoders.vit import ViT
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.masking.inverse_square_masking import (
    InverseSquareMasking,
)
from keras_capi.layers.related_seed import related_seed
from keras_capi.methods.inputs.mask_form import INDICES
from keras_capi.methods.inputs.paired_inputs import check_paired_inputs
from keras_capi.methods.inputs.paired_inputs import prepare_paired
from keras_capi.methods.shared.mae_schedule import mae_schedule
from keras_capi.methods.shared.own_decoders import try_feature_decoder
from keras_capi.methods.shared.several_masks import encode_visible
from keras_capi.methods.shared.several_masks import take_patches
from keras_capi.methods.shared.target_layers import check_target_layers
from keras_capi.methods.shared.target_layers import take_layers
from keras_capi.ops.average_layers import average_layers
from keras_capi.ops.feature_deviation import feature_deviation
from keras_capi.ops.tokens import gather_tokens
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.moving_average import MovingAverage
from keras_capi.training.pretraining import Pretraining
from keras_capi.training.vectors import list_vectors
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

NUM_TARGET_LAYERS = 10
LOSS_WEIGHTS = {"feature_loss": 1.0}


@keras.saving.register_keras_serializable(package="keras_capi")
class Data2Vec2(Pretraining):
    """Pretrains an encoder by predicting a teacher's layers under many masks.

    data2vec 2.0 for images. As in `Data2Vec`, the target at hidden patches is
    the average of the upper layers of a teacher, the student's moving average.
    It is faster, and needs few epochs: the student sees only a fifth of the
    patches, a light convolutional decoder predicts the rest, and one pass of
    the teacher serves many masks of the same image.

    Watch `target_deviation`: it is near 1 as long as patches differ, and falls
    to 0 if all features become the same.

    Args:
        encoder: `keras_capi.encoders.ViT`. The student, as published with
            `positions="sine"` and `post_norm=True`.
        masking: Layer that is called on a tensor of shape `(batch *
            num_masks,)`, or `None` for
            `keras_capi.layers.InverseSquareMasking`. Defaults to `None`.
        decoder: `keras_capi.decoders.ConvolutionalPredictor`, or `None` for the
            published one, which needs an encoder whose `hidden_dim` is
            divisible by 16. Defaults to `None`.
        num_masks: Integer. Number of masks per image. Defaults to `16`.
        target_layers: Sequence of integers from 1 to `num_layers`: the blocks
            to average. `None` is the last 10. Defaults to `None`.
        class_weight: Float. Weight of an additional loss: the student's class
            token predicts the average of the targets of all patches. 0 turns it
            off. Defaults to `2.56`, the published 0.01 times 256 masks per
            device.
        ema_momentum: Float in `[0, 1]`, a schedule, or `None` for the published
            one, which rises linearly from 0.9998 to 0.99999 within 100,000
            updates. Defaults to `None`.
        seed: Integer or `None`. Seed of the default masking and of the noise of
            the default decoder. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "visible_indices":
        (batch, masks, visible), "predict_indices": (batch, masks,
        predictions)}`, row-major patches; the middle axis may be left out if it
        is 1.

    Output shape:
        Dictionary of the student's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, (64, 64, 3), positions="sine", post_norm=True
    ... )
    >>> model = keras_capi.methods.Data2Vec2(encoder, num_masks=4)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [data2vec 2.0](https://arxiv.org/abs/2212.07525)
    """

    loss_weights = LOSS_WEIGHTS

    def __init__(
        self,
        encoder,
        masking=None,
        decoder=None,
        num_masks=16,
        target_layers=None,
        class_weight=2.56,
        ema_momentum=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if not isinstance(encoder, ViT):
            raise ValueError(
                "`encoder` must be a `keras_capi.encoders.ViT`. Received: "
                f"encoder={type(encoder).__name__}"
            )
        if self.trainable:
            check_trainable("encoder", encoder)
        check_seed("seed", seed)
        check_positive_integer("num_masks", num_masks)
        check_non_negative("class_weight", class_weight)
        if class_weight and not encoder.prefix_tokens.has_class_token:
            raise ValueError(
                "`class_weight` must be 0 if the encoder has no class token. "
                f"Received: class_weight={class_weight}"
            )
        self.target_layers = check_target_layers(
            target_layers, encoder.num_layers, NUM_TARGET_LAYERS
        )
        self.num_masks = num_masks
        self.class_weight = class_weight
        if class_weight:
            self.loss_weights = {**LOSS_WEIGHTS, "class_loss": class_weight}
        if ema_momentum is None:
            ema_momentum = keras.optimizers.schedules.PolynomialDecay(
                0.9998 + (0.99999 - 0.9998) / 100_000, 99_999, 0.99999
            )
        with keras.RematScope(mode=None):
            self.masking = masking or InverseSquareMasking(seed=seed)
            INDICES.try_layer(masking, encoder, num_masks)
            self.moving_average = MovingAverage(ema_momentum)
            self.teacher = self.moving_average.follow(encoder, name="teacher")
        self.encoder = encoder
        self.decoder = decoder or ConvolutionalPredictor.for_encoder(
            encoder,
            seed=related_seed(seed, 1),
            dtype=self.dtype_policy,
            name="decoder",
        )
        try_feature_decoder(decoder, encoder)
        self.seed = seed
        self.built = True

    def check_inputs(self, inputs):
        check_paired_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_paired(
            self.encoder, self.masking, self.num_masks, inputs
        )

    def compute_losses(self, inputs, training):
        targets = ops.stop_gradient(self.compute_targets(inputs["images"]))
        outputs = self.predict_features(**inputs, training=training)
        hidden = take_patches(targets, inputs["predict_indices"])
        losses = {"feature_loss": ops.mean(_errors(hidden, outputs[0]))}
        if self.class_weight:
            num_masks = ops.shape(inputs["visible_indices"])[1]
            average = ops.repeat(ops.mean(targets, axis=1), num_masks, axis=0)
            losses["class_loss"] = ops.mean(_errors(average, outputs[1]))
        return {**losses, "target_deviation": feature_deviation(targets)}

    def after_update(self, step, applied):
        return self.moving_average.move(step, applied)

    def compute_targets(self, images):
        """Returns the average of the teacher's layers, for all patches.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Float32 tensor of shape `(batch, patches, hidden_dim)`.
        """
        layers = take_layers(self.teacher, images, self.target_layers, "mlp")
        return average_layers(layers, ("instance",), ("layer",))

    def predict_features(
        self, images, visible_indices, predict_indices, training=None
    ):
        """Predicts the targets of hidden patches from visible ones.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Integer tensor of shape `(batch, masks, visible)`:
                the row-major patches that the student sees.
            predict_indices: Integer tensor of shape `(batch, masks,
                predictions)`: the patches to predict.
            training: Boolean. Whether to apply stochastic depth and noise.

        Returns:
            Two tensors with one row for each mask of each image: predictions of
            shape `(batch * masks, predictions, hidden_dim)`, and the encoder's
            class tokens, `(batch * masks, hidden_dim)`, or `None` without
            `class_weight`.
        """
        encoded = encode_visible(
            self.encoder, images, visible_indices, training
        )
        visible_indices, predict_indices = (
            ops.reshape(indices, (-1, ops.shape(indices)[-1]))
            for indices in (visible_indices, predict_indices)
        )
        decoded = self.decoder(
            encoded["patches"],
            visible_indices,
            grid_size=static_grid_size(images, self.encoder),
            training=training,
        )
        class_tokens = encoded["prefix"][:, 0] if self.class_weight else None
        return gather_tokens(decoded, predict_indices), class_tokens

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=1e-3,
        weight_decay=0.05,
        clip_norm=4.0,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        All weights decay: the authors' code marks vectors as exempt, but
        ignores the marks. Their Adam adds epsilon before the bias correction,
        ours after it, which shows where gradients are nearly as small as it.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first two fifteenths of them.
            batch_size: Integer. Images per batch; published are 256, with 16
                masks each. The learning rate does not depend on it.
            learning_rate: Float or schedule. Defaults to `1e-3`.
            weight_decay: Float or schedule. Defaults to `0.05`.
            clip_norm: Float or `None`. Defaults to `4.0`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if not callable(learning_rate):
            learning_rate = mae_schedule(
                learning_rate, total_steps, 2 * total_steps // 15
            )
        return AdamW(
            **{
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "beta_2": 0.95,
                "clip_norm": clip_norm,
                **overrides,
            }
        )

    def parameter_groups(self):
        return {"vectors": list_vectors(self.trainable_variables)}

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=False)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "masking": serialize(self.masking),
            "decoder": serialize(self.decoder),
            "num_masks": self.num_masks,
            "target_layers": self.target_layers,
            "class_weight": self.class_weight,
            "ema_momentum": serialize(self.moving_average.momentum),
            "seed": self.seed,
        }


def _errors(targets, predictions):
    errors = ops.square(ops.cast(predictions, "float32") - targets)
    return ops.sum(errors, axis=-1) / math.sqrt(targets.shape[-1])
