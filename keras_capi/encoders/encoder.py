import keras
from keras import ops

from keras_capi.encoders.encoder_inputs import check_encoder_inputs
from keras_capi.encoders.encoder_specs import encoder_specs
from keras_capi.encoders.fine_tuning_mixin import FineTuningMixin
from keras_capi.encoders.lora_mixin import LoRAMixin
from keras_capi.fitting.guarded_model import GuardedModel
from keras_capi.ops.tokens import pad_images
from keras_capi.ops.tokens import replace_tokens
from keras_capi.saving.preset import PresetMixin
from keras_capi.saving.quantization import serialize_dtype
from keras_capi.validation import check_image_shape
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


class Encoder(PresetMixin, LoRAMixin, FineTuningMixin, GuardedModel):
    """Base class of the networks that turn images into features.

    All code that uses an encoder relies on the same three steps: `embed` turns
    patches into tokens, tokens are dropped or replaced, and `encode` adds
    positions and runs the network. A subclass has these two methods and
    `blocks`; its constructor calls that of the base class first and `finish`
    last.

    `call`, `predict` and an exported encoder take all steps and return
    features. The constructor's arguments are attributes too, as are
    `global_dim`, the width of the feature of a whole image, and `prefix_name`,
    the name of the features of the prefix.

    Args:
        patch_size: Integer. Side of a patch in pixels.
        num_layers: Integer. Number of blocks.
        hidden_dim: Integer. Width of the tokens.
        num_prefix_tokens: Integer. Number of tokens before those of the
            patches, such as a class token.
        image_shape: Tuple `(height, width, channels)`. Height and width may be
            `None`, and then vary from batch to batch.
        pad: Boolean. Whether to accept images of any size: those that
            `patch_size` does not divide get zeros at the bottom and right. Each
            patch then holds a piece of the image. Defaults to `False`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by `patch_size`, unless
            `pad`.
        visible_indices: Optional integer tensor of shape `(batch, visible)`:
            the row-major patches to encode. `None` encodes all.
        mask: Optional Boolean tensor of shape `(batch, patches)`: the patches
            whose tokens are replaced by `mask_token`, before positions are
            added.
        mask_token: Float tensor of shape `(hidden_dim,)`.
        layers: Tuple of integers, from 1 to `num_layers`. Blocks whose output
            to return as well, after the final norm.
        training: Boolean. Whether to apply stochastic depth.

    Output shape:
        A dictionary: `"global"` of shape `(batch, global_dim)`, `"prefix"` of
        shape `(batch, num_prefix_tokens, hidden_dim)`, `"feature_map"` of shape
        `(batch, rows, columns, hidden_dim)`, and for each of `layers` such a
        map, `"layer_1"` and so on. With `visible_indices` there are `"patches"`
        of shape `(batch, visible, hidden_dim)` and their `"positions"` instead
        of a feature map, and layers have the shape of the patches.

    Raises:
        ValueError: If images have the wrong rank or number of channels, integer
            values, or a size that `patch_size` does not divide; if `mask` or
            `mask_token` is missing or misshapen; if there are no such `layers`.
    """

    prefix_name = "prefix"

    def __init__(
        self,
        patch_size,
        num_layers,
        hidden_dim,
        num_prefix_tokens,
        image_shape,
        pad=False,
        **kwargs,
    ):
        # A `keras.RematScope` is meant for the blocks. The encoder itself must
        # not be run twice, as it draws random numbers.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        # Otherwise Keras takes `mask` for that of a sequence, and warns.
        self.supports_masking = True
        check_positive_integer("patch_size", patch_size)
        check_positive_integer("num_layers", num_layers)
        check_positive_integer("hidden_dim", hidden_dim)
        check_non_negative_integer("num_prefix_tokens", num_prefix_tokens)
        self.patch_size = patch_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.global_dim = hidden_dim
        self.num_prefix_tokens = num_prefix_tokens
        self.pad = pad
        self.image_shape = check_image_shape(image_shape, self.divisor)

    @property
    def divisor(self):
        """What must divide the height and width of images; 1 with padding."""
        return 1 if self.pad else self.patch_size

    def grid_size(self, image_shape):
        """Returns the numbers of rows and columns of patches of an image.

        Args:
            image_shape: Tuple `(height, width, channels)`, of integers or, in a
                graph, scalar tensors; sizes may be `None`.

        Returns:
            Tuple of two numbers of the same kind.
        """
        rest = self.patch_size - 1 if self.pad else 0
        return tuple(
            None if size is None else (size + rest) // self.patch_size
            for size in image_shape[:2]
        )

    def embed(self, images, visible_indices=None):
        """Turns each patch into a token, without positions and prefix.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                height and width divisible by `patch_size`.
            visible_indices: Optional integer tensor of shape
                `(batch, visible)`: the row-major patches to embed.

        Returns:
            A tuple: tokens of shape `(batch, n, hidden_dim)`, and positions of
            shape `(batch or 1, n, any width)`. What positions hold is up to the
            encoder, but they can be gathered along the second axis.
        """
        raise NotImplementedError

    def encode(
        self,
        tokens,
        positions,
        layers=(),
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        """Adds positions and prefix to tokens, and runs the blocks.

        Args:
            tokens: Float tensor of shape `(batch, n, hidden_dim)`.
            positions: Tensor of shape `(batch or 1, n, any width)`.
            layers: Tuple of integers, from 1 to `num_layers`: blocks after
                which to return all tokens as well.
            training: Boolean. Whether to apply stochastic depth.
            normalize: Boolean. Whether to apply the final norm.
            attention_mask: Optional Boolean tensor of shape
                `(batch or 1, prefix + n, prefix + n)`: which tokens may attend
                to which.

        Returns:
            A dictionary: `"prefix"` of shape `(batch, num_prefix_tokens,
            hidden_dim)`, `"patches"` of shape `(batch, n, hidden_dim)`,
            `"positions"` as given, and for each of `layers` a tensor of shape
            `(batch, prefix + n, hidden_dim)`, `"layer_1"` and so on, each as if
            it were the last.
        """
        raise NotImplementedError

    def name_outputs(self, outputs, positions, layers=()):
        """Arranges the tokens after numbered blocks as `encode` does."""
        last, count = outputs[self.num_layers], self.num_prefix_tokens
        return {
            "prefix": last[:, :count],
            "patches": last[:, count:],
            "positions": positions,
            **{f"layer_{number}": outputs[number] for number in layers},
        }

    def pool(self, outputs, training=None):
        """Returns the feature of the whole image: the mean of the patches.

        Args:
            outputs: Dictionary, as returned by `encode`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, global_dim)`.
        """
        return ops.mean(outputs["patches"], axis=1)

    def encode_images(
        self,
        images,
        visible_indices=None,
        mask=None,
        mask_token=None,
        layers=(),
        training=None,
        normalize=True,
    ):
        """Takes all steps, and returns what `encode` returns.

        Args:
            images: As in a call, like all other arguments.
            normalize: Boolean. Whether to apply the final norm.
        """
        check_encoder_inputs(
            self, images, visible_indices, mask, mask_token, layers
        )
        if self.pad:
            images = pad_images(images, self.patch_size)
        tokens, positions = self.embed(images, visible_indices)
        if mask is not None:
            tokens = replace_tokens(tokens, mask, mask_token)
        return self.encode(tokens, positions, layers, training, normalize)

    def attention_weights(self, images, layer):
        """Returns what the tokens of the prefix attend to.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            layer: Integer. Number of a block, from 1.

        Returns:
            Dictionary of float32 tensors `(batch, num_heads, ..., prefix +
            patches)`, one of them named `prefix_name`: how much each prefix
            token attends to each token. Empty without attention.
        """
        return {}

    def call(
        self,
        images,
        visible_indices=None,
        mask=None,
        mask_token=None,
        layers=(),
        training=None,
    ):
        outputs = self.encode_images(
            images, visible_indices, mask, mask_token, layers, training
        )
        features = {
            "global": self.pool(outputs, training),
            self.prefix_name: outputs["prefix"],
        }
        if visible_indices is not None:
            features["patches"] = outputs["patches"]
            features["positions"] = outputs["positions"]
        else:
            features["feature_map"] = self.as_map(outputs["patches"], images)
        for name in (f"layer_{number}" for number in layers):
            patches = outputs[name][:, self.num_prefix_tokens :]
            if visible_indices is None:
                patches = self.as_map(patches, images)
            features[name] = patches
        return features

    def compute_mask(self, inputs, previous_mask):
        return None  # Replaced patches have features like all others.

    def as_map(self, patches, images):
        """Arranges the values of patches as in the image.

        Args:
            patches: Tensor of shape `(batch, patches, any width)`.
            images: Tensor of shape `(batch, height, width, channels)`.

        Returns:
            Tensor of shape `(batch, rows, columns, any width)`.
        """
        grid = self.grid_size(ops.shape(images)[1:])
        return ops.reshape(patches, (-1, *grid, patches.shape[-1]))

    def compute_output_spec(
        self,
        images,
        visible_indices=None,
        mask=None,
        mask_token=None,
        layers=(),
        training=None,
    ):
        check_encoder_inputs(
            self, images, visible_indices, mask, mask_token, layers
        )
        return encoder_specs(self, images, visible_indices, layers)

    def get_config(self):
        return {
            **super().get_config(),
            "dtype": serialize_dtype(self),
            "patch_size": self.patch_size,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "image_shape": self.image_shape,
            "pad": self.pad,
        }
