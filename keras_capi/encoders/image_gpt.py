import keras
from keras import ops

from keras_capi import backend
from keras_capi.encoders.encoder import Encoder
from keras_capi.encoders.encoder_inputs import check_encoder_inputs
from keras_capi.encoders.fine_tuning_mixin import split_by_depth
from keras_capi.encoders.image_gpt_parts import draw_attention
from keras_capi.encoders.image_gpt_parts import make_table
from keras_capi.layers.blocks.block_stack import block_attention
from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.color_palette import ColorPalette
from keras_capi.layers.norms.rms_normalization import RMSNormalization
from keras_capi.layers.tokens.prefix_tokens import PrefixTokens
from keras_capi.ops.images.resize_images import resize_images
from keras_capi.ops.positions.visible_positions import visible_positions
from keras_capi.ops.tokens import gather_tokens
from keras_capi.ops.tokens import replace_tokens
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ImageGPTEncoder(Encoder):
    """Image GPT's transformer on the pixels of very small images.

    An image is resized, and each pixel is replaced by the closest colour of a
    palette. So it becomes a sequence of words, starting at the top left. A
    patch is a pixel of the small image. Features are those of a middle block,
    where they are best.

    Args:
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the tokens.
        num_heads: Integer. Number of attention heads.
        image_size: Integer, or a tuple of two, rows and columns: the size that
            images are resized to. The cost of attention grows with its fourth
            power. Defaults to `32`.
        num_channels: Integer. Channels of the images. Defaults to `3`.
        num_colors: Integer. Colours of the palette. Defaults to `512`.
        causal: Boolean. Whether a position only sees those before it, to
            predict its own pixel; otherwise all positions see each other, as in
            BERT. Defaults to `True`.
        feature_layer: Integer or `None`. Number of the block, from 1, after
            which features are read; `None` is half of the blocks. Use the last
            one for fine-tuning. Defaults to `None`.
        mean: See `keras_capi.layers.ColorPalette`. Defaults to `None`.
        standard_deviation: The same. Defaults to `None`.
        lora_rank: Integer or `None`. Rank to call `enable_lora` with; `None`
            adds no LoRA. Defaults to `None`.

    Call arguments and output:
        Those of `keras_capi.encoders.Encoder`, without a prefix, and with
        images of any size. Features of a block are the input of the next
        block's attention: they have passed that block's norm.

    Example:

    >>> encoder = keras_capi.encoders.ImageGPTEncoder(2, 48, 4, image_size=8)
    >>> features = encoder(keras.random.uniform((2, 32, 32, 3)))
    >>> features["global"].shape  # (2, 48)
    >>> features["feature_map"].shape  # (2, 8, 8, 48)

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf),
      sections 2 and 3
    """

    def __init__(
        self,
        num_layers,
        hidden_dim,
        num_heads,
        image_size=32,
        num_channels=3,
        num_colors=512,
        causal=True,
        feature_layer=None,
        mean=None,
        standard_deviation=None,
        lora_rank=None,
        **kwargs,
    ):
        check_positive_integer("num_channels", num_channels)
        if not isinstance(image_size, list | tuple):
            check_positive_integer("image_size", image_size)
            image_size = (image_size, image_size)
        image_size = check_grid_size(image_size, "image_size")
        super().__init__(
            1, num_layers, hidden_dim, 0, (*image_size, num_channels), **kwargs
        )
        check_positive_integer("num_heads", num_heads)
        if feature_layer is None:
            feature_layer = max(num_layers // 2, 1)
        check_positive_integer("feature_layer", feature_layer)
        check_number("feature_layer", feature_layer, f"[1, {num_layers}]")
        self.num_heads = num_heads
        self.image_size = image_size
        self.causal = bool(causal)
        self.feature_layer = feature_layer
        with keras.RematScope(mode=None):
            self.palette = ColorPalette(
                num_colors,
                num_channels,
                mean,
                standard_deviation,
                name="palette",
            )
            policy, count = self.dtype_policy, image_size[0] * image_size[1]
            self.color_embedding = make_table(
                num_colors, hidden_dim, 0.02, "color_embedding", policy
            )
            self.position_embedding = make_table(
                count, hidden_dim, 0.01, "position_embedding", policy
            )
            self.start_token = PrefixTokens(
                self.causal, 0, dtype=self.dtype_policy, name="start_token"
            )
            self.final_norm = RMSNormalization(
                dtype=self.dtype_policy, name="final_norm"
            )
        self.blocks = make_blocks(
            num_layers,
            num_heads=num_heads,
            rotary=False,
            activation="quick_gelu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            causal=self.causal,
            dtype=self.dtype_policy,
        )
        shape = (None, None, hidden_dim)
        for part in (self.start_token, *self.blocks, self.final_norm):
            part.build(shape)
        draw_attention(self.blocks, hidden_dim)
        self.finish(lora_rank)

    def grid_size(self, image_shape):
        return self.image_size

    def tokenize(self, images):
        """Returns the colours of the small images.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                normalised, of any size.

        Returns:
            Int32 tensor of shape `(batch, rows * columns)`, row-major.
        """
        colors = self.palette(resize_images(images, self.image_size))
        rows, columns = self.image_size
        return ops.reshape(colors, (-1, rows * columns))

    def embed(self, images, visible_indices=None):
        return self.embed_colors(self.tokenize(images), visible_indices)

    def embed_colors(self, token_ids, visible_indices=None):
        """Like `embed`, for images that are words already.

        Args:
            token_ids: Integer tensor of shape `(batch, rows * columns)`.
            visible_indices: As for `embed`.
        """
        tokens = backend.take_rows(self.color_embedding.embeddings, token_ids)
        table = self.position_embedding.embeddings
        positions = ops.cast(table, "float32")[None]
        if visible_indices is not None:
            tokens = gather_tokens(tokens, visible_indices)
        return tokens, visible_positions(positions, visible_indices)

    def encode(
        self,
        tokens,
        positions,
        layers=(),
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        outputs = self._run(
            tokens,
            positions,
            (*layers, self.num_layers),
            normalize,
            attention_mask,
        )
        return self.name_outputs(outputs, positions, layers)

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
        """Takes all steps, up to the block of the features.

        Args:
            images: As in a call, like all other arguments.
            normalize: Boolean. Whether to apply the norms after blocks.
        """
        check_encoder_inputs(
            self, images, visible_indices, mask, mask_token, layers
        )
        tokens, positions = self.embed(images, visible_indices)
        if mask is not None:
            tokens = replace_tokens(tokens, mask, mask_token)
        numbers = (*layers, self.feature_layer)
        outputs = self._run(tokens, positions, numbers, normalize)
        patches = outputs[self.feature_layer]
        return {
            "prefix": patches[:, :0],
            "patches": patches,
            "positions": positions,
            **{f"layer_{number}": outputs[number] for number in layers},
        }

    def _run(
        self, tokens, positions, numbers, normalize=True, attention_mask=None
    ):
        """Returns the outputs of some of the blocks, by their number."""
        tokens = self._place(tokens, positions)
        blocks = self.blocks[: max(numbers)]
        behind = run_blocks(blocks, tokens, attention_mask=attention_mask)
        outputs = {}
        for number, output in enumerate(behind, start=1):
            if number in numbers:
                norm = self._norm_behind(number)
                outputs[number] = norm(output) if normalize else output
        return outputs

    def _place(self, tokens, positions):
        """Adds positions; if causal, each position gets the word before it."""
        tokens = ops.cast(tokens, self.compute_dtype)
        if self.causal:
            tokens = self.start_token(tokens)[:, :-1]
        return tokens + ops.cast(positions, self.compute_dtype)

    def _norm_behind(self, number):
        if number == self.num_layers:
            return self.final_norm
        return self.blocks[number].attention_norm

    def attention_weights(self, images, layer):
        tokens = self._place(*self.embed(images))
        weights = block_attention(self.blocks, tokens, layer)
        return {self.prefix_name: ops.mean(weights, axis=2, keepdims=True)}

    def list_unused_parts(self, uses_global, normalize=True):
        behind = self.blocks[self.feature_layer :]
        if not uses_global or not behind:
            return [] if normalize else [self.final_norm]
        # The norm of the first of them is applied to the features.
        first = behind[0]
        parts = [first.attention, first.mlp_norm, first.mlp_hidden]
        parts += [first.mlp_output, *behind[1:], self.final_norm]
        return parts if normalize else [*parts, first.attention_norm]

    def list_tokens(self):
        return [
            *self.start_token.trainable_variables,
            *self.position_embedding.trainable_variables,
        ]

    def weights_by_depth(self):
        return split_by_depth(
            self.weights,
            [block.weights for block in self.blocks],
            self.final_norm.weights,
        )

    def get_config(self):
        config = super().get_config()
        palette = self.palette.get_config()
        names = ("num_channels", "num_colors", "mean", "standard_deviation")
        own = ("patch_size", "image_shape", "pad")
        return {
            **{name: config[name] for name in config if name not in own},
            "num_heads": self.num_heads,
            "image_size": self.image_size,
            "causal": self.causal,
            "feature_layer": self.feature_layer,
            "lora_rank": self.lora_rank,
            **{name: palette[name] for name in names},
        }
