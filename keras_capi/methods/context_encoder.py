import keras
import numpy as np
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.heads.discriminator import Discriminator
from keras_capi.layers.views.center_region import CenterRegion
from keras_capi.layers.views.region_corruption import RegionCorruption
from keras_capi.methods.inputs.corrupted_inputs import check_corrupted_inputs
from keras_capi.methods.inputs.corrupted_inputs import prepare_corrupted
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.ops.losses.binary_cross_entropy import binary_cross_entropy
from keras_capi.ops.tokens import extract_patches
from keras_capi.ops.tokens import join_patches
from keras_capi.optimizers.checks import check_moments
from keras_capi.optimizers.checks import check_training_size
from keras_capi.training.built_part import built_part
from keras_capi.training.check_part import check_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_seed

# For encoders that take images of any size.
PUBLISHED_SIZE = 128
DISCRIMINATOR_RATE = 2e-4


@keras.saving.register_keras_serializable(package="keras_capi")
class ContextEncoder(Pretraining):
    """Pretrains an encoder by inpainting a region that was cut out of images.

    A region of each image is filled with one colour. The encoder sees all
    patches, including these, and nothing else tells it where the region is; one
    linear layer predicts the pixels. The squared error is joined by an
    adversarial loss: a discriminator learns to tell predicted regions from real
    ones, and the encoder learns to fool it, so that predictions become one
    sharp possibility instead of the blurred mean of all. Each step trains the
    discriminator first, then the encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        corruption: `keras_capi.layers.CenterRegion` or `RandomRegions`, which
            choose what is painted over and what is predicted. `None` is the
            former. Defaults to `None`.
        discriminator: `keras_capi.layers.Discriminator`, or `None` for the
            published one. It has its own optimizer. Defaults to `None`.
        pixel_weight: Float in `[0, 1]`. Weight of the squared error; the
            adversarial loss has one minus this. With 1 there is no
            discriminator. Defaults to `0.999`.
        overlap_weight: Float, 0 or more. Factor of the squared error of pixels
            that are predicted although the encoder sees them, because they were
            not painted over. Defaults to `10.0`.
        seed: Integer or `None`. Seed of the default discriminator's initial
            weights. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with images that are already painted over: `{"images": ...,
        "corrupted_images": ..., "mask": ...}`, all of one shape; the mask is
        Boolean, true where painted over.

    Output shape:
        Dictionary of the encoder's features of whole images, see
        `keras_capi.encoders.Encoder`. The loss does not train a class token, so
        use the mean of `"feature_map"` as the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.ContextEncoder(
    ...     encoder, keras_capi.layers.RandomRegions()
    ... )
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [Context encoders](https://arxiv.org/abs/1604.07379)
    """

    def __init__(
        self,
        encoder,
        corruption=None,
        discriminator=None,
        pixel_weight=0.999,
        overlap_weight=10.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_number("pixel_weight", pixel_weight, "[0, 1]")
        check_non_negative("overlap_weight", overlap_weight)
        check_seed("seed", seed)
        if not isinstance(corruption, RegionCorruption | None):
            raise ValueError(
                "`corruption` must be a `CenterRegion` or `RandomRegions`. "
                f"Received: {type(corruption).__name__}"
            )
        check_part("discriminator", discriminator, Discriminator)
        if discriminator is not None and pixel_weight == 1:
            raise ValueError(
                "`discriminator` needs a `pixel_weight` below 1. "
                "Received: pixel_weight=1"
            )
        height, width, channels = encoder.image_shape
        with keras.RematScope(mode=None):
            self.corruption = corruption or CenterRegion()
            self.head = Dense(
                encoder.patch_size**2 * channels,
                dtype=self.dtype_policy,
                name="head",
            )
            if discriminator is None and pixel_weight < 1:
                discriminator = Discriminator(seed=seed, name="discriminator")
        self.encoder = encoder
        self.discriminator = discriminator
        self.pixel_weight = pixel_weight
        self.overlap_weight = overlap_weight
        self.seed = seed
        self.loss_weights = {"pixel_loss": pixel_weight}
        self.head.build((None, None, encoder.hidden_dim))
        if discriminator is not None:
            self.loss_weights["adversarial_loss"] = 1.0 - pixel_weight
            window = self.corruption.judged_window(
                (height or PUBLISHED_SIZE, width or PUBLISHED_SIZE)
            )
            shape = (None, *window[2:], channels)
            built_part("discriminator", discriminator, shape)
        self.built = True

    def check_inputs(self, inputs):
        check_corrupted_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_corrupted(self.encoder, self.corruption, inputs)

    def compute_losses(self, inputs, training):
        colors = self._predict_colors(inputs["corrupted_images"], training)
        made, real, mask = (
            self.take_window(values)
            for values in (
                colors,
                self.corruption.to_colors(inputs["images"]),
                inputs["mask"],
            )
        )
        errors = ops.square(made - real)
        weights = ops.where(mask, 1.0, float(self.overlap_weight))
        losses = {
            "pixel_loss": ops.mean(weights * errors),
            "unweighted_pixel_loss": ops.mean(errors),
        }
        if self.discriminator is None:
            return losses
        if training:
            judgement = self.discriminator.learn(real, made)
        else:
            judgement = self.discriminator.compute_loss(real, made)
        return {
            **losses,
            "discriminator_loss": ops.stop_gradient(judgement),
            "adversarial_loss": binary_cross_entropy(
                self.discriminator(made), 1.0
            ),
        }

    def _predict_colors(self, images, training):
        """Predicts all pixels of images, as colours from -1 to 1."""
        tokens, positions = self.encoder.embed(images)
        encoded = self.encoder.encode(tokens, positions, training=training)
        values = ops.cast(self.head(encoded["patches"]), "float32")
        return join_patches(
            ops.tanh(values),
            self.encoder.patch_size,
            static_grid_size(images, self.encoder),
        )

    def take_window(self, values):
        """Cuts the part to predict out of whole images.

        Args:
            values: Tensor of shape `(batch, height, width, channels)`.

        Returns:
            Tensor of the same rank.
        """
        top, left, height, width = self.corruption.judged_window(
            values.shape[1:3]
        )
        return values[:, top : top + height, left : left + width]

    def predict_pixels(self, images, training=None):
        """Predicts the pixels of the region, and keeps all others.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                painted over.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Float32 tensor of shape `(batch, patches, patch_size**2 *
            channels)`, normalised like the images, and equal to them outside
            the region; values in the order row, column, channel;
            `keras_capi.ops.join_patches` turns them into images.
        """
        predicted = self.corruption.from_colors(
            self._predict_colors(images, training)
        )
        size = tuple(images.shape[1:3])
        top, left, height, width = self.corruption.judged_window(size)
        is_judged = np.zeros((1, *size, 1), bool)
        is_judged[:, top : top + height, left : left + width] = True
        images = ops.where(is_judged, predicted, ops.cast(images, "float32"))
        return extract_patches(images, self.encoder.patch_size)

    @passes_on_to(keras.optimizers.AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        weight_decay=0.0,
        beta_1=0.5,
        beta_2=0.999,
        epsilon=1e-8,
        **overrides,
    ):
        """Returns the published optimizer of the encoder.

        It is Keras's own, which adds epsilon before the bias correction of the
        second moment, as Torch 7 did; this matters in short trainings. The
        discriminator has its own optimizer, see
        `keras_capi.layers.Discriminator`.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate is constant, so it does not depend on them.
            batch_size: Integer. Images per batch. The learning rate was
                published for 64, without a rule for other sizes, so it does not
                depend on this.
            learning_rate: Float or schedule. `None` is 2e-3, ten times that of
                the published discriminator, or 2e-4 if there is only one loss.
                Defaults to `None`.
            weight_decay: Float. Defaults to `0.0`.
            beta_1: Float. Defaults to `0.5`.
            beta_2: Float. Defaults to `0.999`.
            epsilon: Float, 6e-8 or more for float16 weights. Defaults to
                `1e-8`.
            **overrides: Other arguments of `keras.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        check_non_negative("weight_decay", weight_decay)
        check_moments(beta_1, beta_2, epsilon)
        # Keras keeps moments in the dtype of the weights, and 0 / 0 is NaN.
        if self.variable_dtype == "float16" and np.float16(epsilon) == 0:
            raise ValueError(
                "`epsilon` must not be 0 in float16, the dtype of the weights; "
                f'"mixed_float16" has float32. Received: {epsilon=}'
            )
        if learning_rate is None:
            has_both = 0 < self.pixel_weight < 1
            learning_rate = DISCRIMINATOR_RATE * (10 if has_both else 1)
        if not callable(learning_rate):
            check_non_negative("learning_rate", learning_rate)
        return keras.optimizers.AdamW(
            learning_rate, weight_decay, beta_1, beta_2, epsilon, **overrides
        )

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=False)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "corruption": serialize(self.corruption),
            "discriminator": serialize(self.discriminator),
            "pixel_weight": self.pixel_weight,
            "overlap_weight": self.overlap_weight,
            "seed": self.seed,
        }
