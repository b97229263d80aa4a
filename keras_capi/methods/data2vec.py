import keras
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.masking.blockwise_masking import BlockwiseMasking
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.shared.replaced_patches import ReplacedPatches
from keras_capi.methods.shared.target_layers import check_target_layers
from keras_capi.methods.shared.target_layers import check_target_outputs
from keras_capi.methods.shared.target_layers import take_layers
from keras_capi.methods.shared.undecayed_optimizer import undecayed_optimizer
from keras_capi.ops.average_layers import average_layers
from keras_capi.ops.average_layers import check_norms
from keras_capi.ops.feature_deviation import feature_deviation
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.losses.smooth_l1 import smooth_l1
from keras_capi.ops.losses.variance_hinge import variance_hinge
from keras_capi.optimizers.adamw import AdamW
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.moving_average import MovingAverage
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive
from keras_capi.validation import check_seed

# Of the patches of an image of 224 pixels.
MASK_RATIO = 120 / 196
NUM_TARGET_LAYERS = 6
# As wide as a normal distribution of deviation 0.02, cut off at one deviation.
INITIAL_DEVIATION = 0.0123


@keras.saving.register_keras_serializable(package="keras_capi")
class Data2Vec(ReplacedPatches):
    """Pretrains an encoder by predicting a teacher's layers at hidden patches.

    data2vec for images, version 1. The student sees all positions, with a mask
    token in place of hidden patches; the teacher, its moving average, sees the
    whole image. The target is the average of the teacher's upper layers: unlike
    pixels or tokens, it describes a patch in the context of the whole image.
    One linear layer on the student predicts it.

    Only the slow teacher and the normalisation of its layers prevent a
    collapse. Watch `target_deviation`: it is near 1 as long as patches differ,
    and falls to 0 if all features become the same.

    Args:
        encoder: `keras_capi.encoders.Encoder`. The student, preferably a `ViT`
            with `positions=None`, `relative_positions="shared"`,
            `use_key_bias=False`, `layer_scale=1e-4`, `drop_path_rate=0.25` and
            `attention_dropout_rate=0.05`.
        masking: Layer that turns images into `{"mask": ...}`, or `None` for
            `keras_capi.layers.BlockwiseMasking` with a `mask_ratio` of 120 /
            196. Defaults to `None`.
        target_layers: Sequence of integers from 1 to the encoder's
            `num_layers`: which of the teacher's blocks to average. `None` is
            the last 6. Defaults to `None`.
        target_outputs: What to take from each block: `"block"`, its output, or
            `"mlp"`, what its MLP adds to the tokens, which needs a `ViT`.
            Defaults to `"block"`.
        target_norms: Sequence of `"layer"`, `"instance"` and `"batch"`: how
            each layer is normalised before averaging, see
            `keras_capi.ops.average_layers`. Defaults to `("layer",)`.
        average_norms: The same for the average. Defaults to `("layer",)`.
        beta: Float. Error above which the smooth L1 loss is linear; `None` uses
            the squared error instead. Defaults to `2.0`.
        variance_weight: Float. Weight of an additional loss,
            `keras_capi.ops.variance_hinge`, which is not computed if this is 0.
            Defaults to `0.0`.
        variance_margin: Float. Margin of that loss. Defaults to `0.5`.
        loss_scale: Float. Factor of all losses. Defaults to `1.0`.
        ema_momentum: Float in `[0, 1]`, or a schedule. Momentum of the teacher.
            Defaults to `0.9998`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "mask": (batch,
        patches)}`, Boolean, row-major, true where hidden. Each device averages
        over its own hidden patches, as in the authors' code.

    Output shape:
        Dictionary of the student's features, see `keras_capi.encoders.Encoder`.
        Nothing trains the class token, so use the mean of `"feature_map"` as
        the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3), positions=None,
    ...     relative_positions="shared", use_key_bias=False, layer_scale=1e-4,
    ... )
    >>> model = keras_capi.methods.Data2Vec(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [data2vec](https://arxiv.org/abs/2202.03555)
    """

    loss_weights = {"feature_loss": 1.0}

    def __init__(
        self,
        encoder,
        masking=None,
        target_layers=None,
        target_outputs="block",
        target_norms=("layer",),
        average_norms=("layer",),
        beta=2.0,
        variance_weight=0.0,
        variance_margin=0.5,
        loss_scale=1.0,
        ema_momentum=0.9998,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_seed("seed", seed)
        if beta is not None:
            check_positive("beta", beta)
        check_non_negative("variance_weight", variance_weight)
        check_non_negative("variance_margin", variance_margin)
        check_positive("loss_scale", loss_scale)
        check_target_outputs(target_outputs, encoder)
        self.target_layers = check_target_layers(
            target_layers, encoder.num_layers, NUM_TARGET_LAYERS
        )
        self.target_outputs = target_outputs
        self.target_norms = check_norms("target_norms", target_norms)
        self.average_norms = check_norms("average_norms", average_norms)
        self.beta = beta
        self.variance_weight = variance_weight
        self.variance_margin = variance_margin
        self.loss_scale = loss_scale
        self.loss_weights = {"feature_loss": loss_scale}
        if variance_weight:
            self.loss_weights["variance_loss"] = loss_scale * variance_weight
        initializer = keras.initializers.TruncatedNormal(
            stddev=INITIAL_DEVIATION
        )
        with keras.RematScope(mode=None):
            self.masking = masking or BlockwiseMasking(
                mask_ratio=MASK_RATIO, seed=seed
            )
            MASK.try_layer(masking, encoder)
            self.mask_token = MaskToken(
                initializer, dtype=self.dtype_policy, name="mask_token"
            )
            self.head = Dense(
                encoder.hidden_dim,
                kernel_initializer=initializer.clone(),
                dtype=self.dtype_policy,
                name="head",
            )
            for part in (self.mask_token, self.head):
                part.build((None, None, encoder.hidden_dim))
            self.moving_average = MovingAverage(ema_momentum)
            self.teacher = self.moving_average.follow(encoder, name="teacher")
            # The targets need neither, but the authors' teacher has both.
            self.teacher_mask_token, self.teacher_head = (
                self.moving_average.follow(part, name=f"teacher_{part.name}")
                for part in (self.mask_token, self.head)
            )
        self.encoder = encoder
        self.seed = seed
        self.built = True

    def compute_losses(self, inputs, training):
        targets = ops.stop_gradient(self.compute_targets(inputs["images"]))
        predictions = self.predict_features(**inputs, training=training)
        predictions = ops.cast(predictions, "float32")
        if self.beta is None:
            errors = ops.square(predictions - targets)
        else:
            errors = smooth_l1(targets, predictions, self.beta)
        mask = inputs["mask"]
        losses = {"feature_loss": masked_mean(ops.mean(errors, axis=-1), mask)}
        if self.variance_weight:
            losses["variance_loss"] = variance_hinge(
                predictions, mask, self.variance_margin
            )
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
        layers = take_layers(
            self.teacher, images, self.target_layers, self.target_outputs
        )
        return average_layers(layers, self.target_norms, self.average_norms)

    def predict_features(self, images, mask, training=None):
        """Predicts the targets of all patches, some of which are hidden.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            mask: Boolean tensor of shape `(batch, patches)`, true where hidden.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, hidden_dim)`, of which visible
            patches do not enter the loss.
        """
        return self.head(self.encode_replaced(images, mask, training))

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=2e-3,
        weight_decay=0.05,
        clip_norm=3.0,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first eightieth of them.
            batch_size: Integer. Images per batch. The learning rate was
                published for 2,048, without a rule for other sizes, so it does
                not depend on this.
            learning_rate: Float, 1e-5 or more, or schedule. Defaults to `2e-3`,
                the published value for ViT-B. For ViT-L it is `1e-3`, with a
                warm-up over a tenth of the steps.
            weight_decay: Float or schedule. Defaults to `0.05`.
            clip_norm: Float or `None`. Defaults to `3.0`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        return undecayed_optimizer(
            total_steps,
            batch_size,
            learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            **overrides,
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "masking": serialize(self.masking),
            "target_layers": self.target_layers,
            "target_outputs": self.target_outputs,
            "target_norms": self.target_norms,
            "average_norms": self.average_norms,
            "beta": self.beta,
            "variance_weight": self.variance_weight,
            "variance_margin": self.variance_margin,
            "loss_scale": self.loss_scale,
            "ema_momentum": serialize(self.moving_average.momentum),
            "seed": self.seed,
        }
