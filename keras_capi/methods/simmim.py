import keras
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.masking.cell_masking import CellMasking
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.replaced_patches import ReplacedPatches
from keras_capi.methods.shared.undecayed_optimizer import undecayed_optimizer
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.late_warmup import LateWarmup
from keras_capi.training.check_trainable import check_trainable
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_seed

# Published side of the cells that are hidden as a whole, in pixels.
CELL_PIXELS = 32
# So that a small image has enough cells to choose from.
MIN_CELLS = 3


@keras.saving.register_keras_serializable(package="keras_capi")
class SimMIM(ReplacedPatches):
    """Pretrains an encoder by predicting the pixels of replaced patches.

    A simple framework for masked image modelling. The encoder sees all
    positions, with the same learnt mask token in place of hidden patches, and
    one linear layer predicts their pixels from its output. It is the simplest
    of all methods: there is no decoder, no teacher, and nothing that could
    collapse. Patches are hidden in cells of several. Fine-tune its features:
    the last blocks do the work of a decoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`, preferably a `ViT` with
            `positions=None`, `relative_positions="shared"`,
            `use_key_bias=False`, `layer_scale=0.1` and `drop_path_rate=0.1`.
        masking: Layer that turns images into `{"mask": ...}`, or `None` for
            `keras_capi.layers.CellMasking` with a `mask_ratio` of 0.6 and the
            largest cells of up to 32 pixels that divide the encoder's
            `image_shape` and leave at least 3 of them along each side. Defaults
            to `None`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "mask": (batch,
        patches)}`, Boolean, row-major, true where hidden. If they hide
        different numbers of patches, each device averages over its own, as in
        the authors' code.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.
        Nothing trains the class token, so use the mean of `"feature_map"` as
        the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3), positions=None,
    ...     relative_positions="shared", use_key_bias=False, layer_scale=0.1,
    ... )
    >>> model = keras_capi.methods.SimMIM(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [SimMIM](https://arxiv.org/abs/2111.09886)
    """

    loss_weights = {"pixel_loss": 1.0}

    def __init__(self, encoder, masking=None, seed=None, **kwargs):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_seed("seed", seed)
        width = encoder.hidden_dim
        bound = width**-0.5
        with keras.RematScope(mode=None):
            self.masking = masking or CellMasking(
                cell_size=_default_cell_size(encoder), seed=seed
            )
            MASK.try_layer(masking, encoder)
            self.mask_token = MaskToken(
                dtype=self.dtype_policy, name="mask_token"
            )
            self.head = Dense(
                encoder.patch_size**2 * encoder.image_shape[-1],
                kernel_initializer=keras.initializers.RandomUniform(
                    -bound, bound
                ),
                bias_initializer=keras.initializers.RandomUniform(
                    -bound, bound
                ),
                dtype=self.dtype_policy,
                name="head",
            )
        self.encoder = encoder
        self.seed = seed
        for part in (self.mask_token, self.head):
            part.build((None, None, width))
        self.built = True

    def compute_losses(self, inputs, training):
        predictions = self.predict_pixels(**inputs, training=training)
        targets = pixel_targets(
            inputs["images"], self.encoder.patch_size, normalize=False
        )
        errors = ops.abs(ops.cast(predictions, "float32") - targets)
        return {
            "pixel_loss": masked_mean(ops.mean(errors, axis=-1), inputs["mask"])
        }

    def predict_pixels(self, images, mask, training=None):
        """Predicts the pixels of all patches, some of which are hidden.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            mask: Boolean tensor of shape `(batch, patches)`, true where hidden.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, patch_size**2 * channels)`, of
            which visible patches do not enter the loss; values in the order
            row, column, channel.
        """
        return self.head(self.encode_replaced(images, mask, training))

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        weight_decay=0.05,
        clip_norm=5.0,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first eightieth of them, and is a tenth
                in the last eighth.
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `1e-4 * batch_size / 512`.
            learning_rate: Float or schedule, to replace that rate. Defaults to
                `None`.
            weight_decay: Float or schedule. Defaults to `0.05`.
            clip_norm: Float or `None`. Defaults to `5.0`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if learning_rate is None:
            learning_rate = 1e-4 * batch_size / 512
        if not callable(learning_rate):
            check_non_negative("learning_rate", learning_rate)
            milestone = total_steps * 7 // 8
            learning_rate = LateWarmup(
                # The schedule keeps its first value up to and including the
                # boundary.
                keras.optimizers.schedules.PiecewiseConstantDecay(
                    [milestone - 1], [learning_rate, learning_rate / 10]
                ),
                warmup_steps=total_steps // 80,
                start_value=learning_rate / 200,
            )
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
            "seed": self.seed,
        }


def _default_cell_size(encoder):
    largest = max(CELL_PIXELS // encoder.patch_size, 1)
    grid_size = encoder.grid_size(encoder.image_shape)
    if None in grid_size:
        return largest
    return max(
        side
        for side in range(1, largest + 1)
        if side == 1
        or all(n % side == 0 and n // side >= MIN_CELLS for n in grid_size)
    )
