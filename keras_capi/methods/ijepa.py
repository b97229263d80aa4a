import keras
from keras import ops

from keras_capi.decoders.self_attention_predictor import SelfAttentionPredictor
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.fitting.schedule_settings import schedule_settings
from keras_capi.layers.masking.multi_block_masking import MultiBlockMasking
from keras_capi.methods.inputs.block_inputs import check_block_inputs
from keras_capi.methods.inputs.block_inputs import prepare_blocks
from keras_capi.methods.inputs.mask_form import BLOCKS
from keras_capi.methods.shared.falling_rate import falling_rate
from keras_capi.methods.shared.own_decoders import try_feature_predictor
from keras_capi.ops.feature_deviation import feature_deviation
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.losses.smooth_l1 import smooth_l1
from keras_capi.ops.normalization import layer_normalize
from keras_capi.ops.tokens import gather_tokens
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.moving_average import MovingAverage
from keras_capi.training.pretraining import Pretraining
from keras_capi.training.vectors import list_vectors
from keras_capi.validation import check_seed

BASE_MOMENTUM = 0.996


@keras.saving.register_keras_serializable(package="keras_capi")
class IJEPA(Pretraining):
    """Pretrains an encoder by predicting the features of hidden blocks.

    An image-based joint-embedding predictive architecture. The student sees a
    large part of the patches. From it, a narrow predictor infers the teacher's
    features of several blocks that the student does not see; the teacher is the
    student's moving average. Neither views nor pixels are involved: the encoder
    learns about the parts of objects and where they are. Its features suit
    linear classifiers, and tasks such as counting or locating things.

    Only the slow teacher prevents a collapse. Watch `target_deviation`: it is
    near 1 as long as patches differ, and falls to 0 if all features become the
    same.

    Args:
        encoder: `keras_capi.encoders.Encoder`. The student, preferably a `ViT`
            with `class_token=False` and `positions="sine"`.
        masking: Layer that turns images into masks, or `None` for
            `keras_capi.layers.MultiBlockMasking`. Defaults to `None`.
        predictor: `keras_capi.decoders.SelfAttentionPredictor`, or `None` for
            the published one with 12 blocks of width 384. Defaults to `None`.
        ema_momentum: Float in `[0, 1]`, a schedule, or `None` for the published
            linear rise from 0.996 to 1 over the steps of the optimizer's
            schedule. Defaults to `None`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "visible_indices":
        (batch, contexts, visible), "predict_indices": (batch, blocks,
        predictions)}`, row-major patches; the middle axis may be left out if it
        is 1. Each block is predicted from each context.

    Output shape:
        Dictionary of the teacher's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3), class_token=False,
    ...     positions="sine",
    ... )
    >>> predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
    ...     encoder, num_layers=2, hidden_dim=32
    ... )
    >>> model = keras_capi.methods.IJEPA(encoder, predictor=predictor)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243)
    """

    loss_weights = {"feature_loss": 1.0}

    def __init__(
        self,
        encoder,
        masking=None,
        predictor=None,
        ema_momentum=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_seed("seed", seed)
        with keras.RematScope(mode=None):
            self.masking = masking or MultiBlockMasking(seed=seed)
            BLOCKS.try_layer(masking, encoder)
            self.moving_average = MovingAverage(
                BASE_MOMENTUM if ema_momentum is None else ema_momentum
            )
            self.teacher = self.moving_average.follow(encoder, name="teacher")
        self.student = encoder
        self.predictor = predictor or SelfAttentionPredictor.for_encoder(
            encoder, dtype=self.dtype_policy, name="predictor"
        )
        try_feature_predictor(predictor, encoder)
        self.ema_momentum = ema_momentum
        self.seed = seed
        self.built = True

    @property
    def encoder(self):
        """The teacher, whose features `predict` gives."""
        return self.teacher

    def check_inputs(self, inputs):
        check_block_inputs(self.student, inputs)

    def prepare(self, inputs, training):
        return prepare_blocks(self.student, self.masking, inputs)

    def compute_losses(self, inputs, training):
        features = self.teacher.encode_images(inputs["images"], training=False)
        features = layer_normalize(ops.stop_gradient(features["patches"]))
        _, num_blocks, num_predictions = ops.shape(inputs["predict_indices"])
        indices = ops.reshape(
            inputs["predict_indices"], (-1, num_blocks * num_predictions)
        )
        targets = ops.reshape(
            gather_tokens(features, indices),
            (-1, num_blocks, num_predictions, features.shape[-1]),
        )
        predictions = self.predict_features(**inputs, training=training)
        errors = ops.mean(smooth_l1(targets[:, None], predictions), axis=-1)
        # Average over the contexts, which share the blocks to predict.
        errors = ops.mean(errors, axis=1)
        loss = ops.mean(errors)
        if "predict_mask" in inputs:
            loss = masked_mean(errors, inputs["predict_mask"])
        return {
            "feature_loss": loss,
            "target_deviation": feature_deviation(features),
        }

    def after_update(self, step, applied):
        return self.moving_average.move(step, applied)

    def predict_features(
        self,
        images,
        visible_indices,
        predict_indices,
        visible_mask=None,
        predict_mask=None,
        training=None,
    ):
        """Predicts the normalised features of blocks of patches.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Integer tensor of shape `(batch, contexts,
                visible)`: the row-major patches that the student sees.
            predict_indices: Integer tensor of shape `(batch, blocks,
                predictions)`: the patches to predict.
            visible_mask: Optional Boolean tensor of the shape of
                `visible_indices`: which of them count. `None` is all.
            predict_mask: The same for `predict_indices`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, contexts, blocks, predictions,
            hidden_dim)`.
        """
        _, num_contexts, num_visible = ops.shape(visible_indices)
        visible_indices, visible_mask = (
            None if values is None else ops.reshape(values, (-1, num_visible))
            for values in (visible_indices, visible_mask)
        )
        images, predict_indices, predict_mask = (
            None if values is None else ops.repeat(values, num_contexts, axis=0)
            for values in (images, predict_indices, predict_mask)
        )
        attention_mask = None
        if visible_mask is not None:
            attention_mask = ops.pad(
                visible_mask,
                [[0, 0], [self.student.num_prefix_tokens, 0]],
                constant_values=True,
            )[:, None]
        tokens, positions = self.student.embed(images, visible_indices)
        encoded = self.student.encode(
            tokens,
            positions,
            training=training,
            attention_mask=attention_mask,
        )
        predictions = self.predictor(
            encoded["prefix"],
            encoded["patches"],
            visible_indices,
            predict_indices,
            visible_mask,
            predict_mask,
            grid_size=static_grid_size(images, self.student),
        )
        return ops.reshape(
            predictions, (-1, num_contexts, *ops.shape(predictions)[1:])
        )

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=1e-3,
        weight_decay=None,
        **overrides,
    ):
        """Returns the published optimizer and its schedules.

        Args:
            total_steps: Integer. Updates of the whole training. Over the first
                two fifteenths of them the learning rate warms up, from a fifth
                of its value.
            batch_size: Integer. Images per batch. The learning rate was
                published for 2,048, without a rule for other sizes, so it does
                not depend on this.
            learning_rate: Float, 1e-6 or more, or schedule. Defaults to `1e-3`.
            weight_decay: Float, schedule, or `None` for a cosine from 0.04 to
                0.4. Defaults to `None`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if not callable(learning_rate):
            learning_rate = falling_rate(
                learning_rate,
                total_steps,
                final_value=1e-6,
                warmup_steps=2 * total_steps // 15,
                start_share=1 / 5,
                warmup_endpoint=False,
                first_step=1,
            )
        if weight_decay is None:
            weight_decay = WarmupCosine(
                0.04, total_steps, final_value=0.4, truncate=1.0, first_step=1
            )
        return AdamW(
            **{
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "groups": {"vectors": Group(weight_decay_multiplier=0.0)},
                **overrides,
            }
        )

    def parameter_groups(self):
        return {"vectors": list_vectors(self.trainable_variables)}

    def list_unused_parts(self):
        return self.student.list_unused_parts(uses_global=False)

    def compile(self, optimizer="rmsprop", **kwargs):
        super().compile(optimizer, **kwargs)
        total_steps = schedule_settings(self.optimizer).get("total_steps")
        if self.ema_momentum is None:
            momentum = BASE_MOMENTUM
            if total_steps is not None:
                momentum = keras.optimizers.schedules.PolynomialDecay(
                    BASE_MOMENTUM, total_steps, 1.0
                )
            self.moving_average.momentum = momentum

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.student),
            "masking": serialize(self.masking),
            "predictor": serialize(self.predictor),
            "ema_momentum": serialize(self.ema_momentum),
            "seed": self.seed,
        }
