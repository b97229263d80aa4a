import keras
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.heads.patch_mlp import PatchMLP
from keras_capi.layers.masking.prefix_masking import PrefixMasking
from keras_capi.methods.inputs.mask_form import PREFIX
from keras_capi.methods.inputs.prefix_inputs import check_prefix_inputs
from keras_capi.methods.inputs.prefix_inputs import prepare_prefixes
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.own_decoders import try_pixel_head
from keras_capi.methods.shared.warmup_from_zero import warmup_from_zero
from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.ops.masks.prefix_mask import prefix_mask
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.pretraining import Pretraining
from keras_capi.training.vectors import list_vectors
from keras_capi.validation import check_seed

# One in this many steps warms up the rate.
WARMUP_SHARE = 16


@keras.saving.register_keras_serializable(package="keras_capi")
class AIM(Pretraining):
    """Pretrains an encoder by predicting the next patch, like a language model.

    An autoregressive image model. Patches are in row-major order, and each
    position predicts the pixels of the next patch from the patches up to its
    own. The first part of each image, of random length, is given: its patches
    attend to each other in both directions, so that the encoder can be used
    without causal attention afterwards. There is no teacher, and nothing that
    could collapse; a lower loss means better features.

    Args:
        encoder: `keras_capi.encoders.Encoder` with attention blocks, preferably
            a `keras_capi.encoders.AIMEncoder`. Class token and registers belong
            to the given part.
        masking: `keras_capi.layers.PrefixMasking`, which draws the length of
            the given part, or `None` for the default one. Defaults to `None`.
        head: Layer that turns patches and `grid_size` into pixels, or `None`
            for a `keras_capi.layers.PatchMLP` of twelve MLPs as wide as the
            encoder (2048 in the paper). Defaults to `None`.
        normalize_pixels: Boolean. Whether the pixels of each patch are
            normalised to mean 0 and standard deviation 1 before they are
            predicted. Defaults to `True`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary that also gives the number of given patches: `{"images": ...,
        "prefix_length": (batch,)}`, from one patch to all but one.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`,
        computed with attention in both directions. Those of middle layers are
        better than those of the last.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.AIMEncoder(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3)
    ... )
    >>> model = keras_capi.methods.AIM(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [AIM](https://arxiv.org/abs/2401.08541)
    """

    loss_weights = {"pixel_loss": 1.0}

    def __init__(
        self,
        encoder,
        masking=None,
        head=None,
        normalize_pixels=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_seed("seed", seed)
        with keras.RematScope(mode=None):
            self.masking = masking or PrefixMasking(seed=seed)
            PREFIX.try_layer(masking, encoder)
            self.head = head or PatchMLP.for_encoder(
                encoder, dtype=self.dtype_policy, name="head"
            )
            built_part("head", self.head, (None, None, encoder.hidden_dim))
            try_pixel_head(head, encoder)
        self.encoder = encoder
        self.normalize_pixels = normalize_pixels
        self.seed = seed
        self.built = True

    def check_inputs(self, inputs):
        check_prefix_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_prefixes(self.encoder, self.masking, inputs)

    def compute_losses(self, inputs, training):
        predictions = self.predict_pixels(**inputs, training=training)
        targets = pixel_targets(
            inputs["images"], self.encoder.patch_size, self.normalize_pixels
        )
        # Each position predicts the next patch; the last one predicts nothing.
        errors = ops.cast(predictions[:, :-1], "float32") - targets[:, 1:]
        errors = ops.mean(ops.square(errors), axis=-1)
        places = ops.arange(1, predictions.shape[1], dtype="int32")
        lengths = ops.cast(inputs["prefix_length"], "int32")
        counted = ops.cast(places >= lengths[:, None], "float32")
        # Average over the patches of all devices: prefixes differ between them.
        num_images = ops.cast(ops.shape(errors)[0], "float32")
        totals = all_reduce_sum(ops.stack([num_images, ops.sum(counted)]))
        patches_per_image = ops.maximum(totals[1], 1.0) / totals[0]
        errors = ops.sum(errors * counted, axis=1)
        return {"pixel_loss": ops.mean(errors) / patches_per_image}

    def predict_pixels(self, images, prefix_length, training=None):
        """Predicts, for each patch, the pixels of the next one.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            prefix_length: Integer tensor of shape `(batch,)`: how many patches
                every position sees.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, patch_size**2 * channels)`: at
            each position the prediction of the next patch, values in the order
            row, column, channel.
        """
        grid_size = static_grid_size(images, self.encoder)
        tokens, positions = self.encoder.embed(images)
        encoded = self.encoder.encode(
            tokens,
            positions,
            training=training,
            attention_mask=prefix_mask(
                prefix_length,
                grid_size[0] * grid_size[1],
                self.encoder.num_prefix_tokens,
            ),
        )
        return self.head(encoded["patches"], grid_size=grid_size)

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=1e-3,
        weight_decay=0.05,
        beta_1=0.9,
        beta_2=0.95,
        clip_norm=1.0,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first sixteenth of them.
            batch_size: Integer. Images per batch, over all devices; 4096 in the
                paper. The learning rate does not depend on it.
            learning_rate: Float or schedule. Defaults to `1e-3`.
            weight_decay: Float or schedule. Defaults to `0.05`.
            beta_1: Float. Defaults to `0.9`.
            beta_2: Float. Defaults to `0.95`.
            clip_norm: Float or `None`. Defaults to `1.0`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if not callable(learning_rate):
            learning_rate = warmup_from_zero(
                learning_rate, total_steps, total_steps // WARMUP_SHARE
            )
        return AdamW(
            **{
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "beta_1": beta_1,
                "beta_2": beta_2,
                "clip_norm": clip_norm,
                "groups": {"vectors": Group(weight_decay_multiplier=0.0)},
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
            "head": serialize(self.head),
            "normalize_pixels": self.normalize_pixels,
            "seed": self.seed,
        }
