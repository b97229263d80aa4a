import keras
from keras import ops

from keras_capi.encoders.encoder import Encoder
from keras_capi.encoders.fine_tuning_mixin import split_by_depth
from keras_capi.encoders.vit_config import vit_config
from keras_capi.encoders.vit_positions import ViTPositions
from keras_capi.layers.blocks.attention_dropout import AttentionDropout
from keras_capi.layers.blocks.block_parts import make_norm
from keras_capi.layers.blocks.block_stack import block_attention
from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.drop_path import DropPath
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.tokens.patch_embedding import PatchEmbedding
from keras_capi.layers.tokens.prefix_tokens import PrefixTokens
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class ViT(Encoder):
    """Standard vision transformer.

    It has a class token, positions that are added to the tokens, layer
    normalisation and biases, as in most pretraining methods. The defaults are
    those of ViT-B/16, except for the sizes, which you have to give.

    Args:
        patch_size: Integer. Side of a patch in pixels.
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the tokens.
        num_heads: Integer. Number of attention heads.
        image_shape: Tuple `(height, width, channels)`: the size that positions
            are made for. Images of other sizes can be encoded too. Without
            positions, height and width may be `None`. Defaults to `(224, 224,
            3)`.
        mlp_dim: Integer or `None`. Hidden width of the MLPs, see
            `keras_capi.layers.TransformerBlock`. Defaults to `None`.
        class_token: Boolean. Whether there is a class token. It is then the
            feature of the whole image, which otherwise is the mean of the
            patches. Defaults to `True`.
        num_register_tokens: Integer. Number of tokens without position, after
            the class token. Defaults to `0`.
        positions: `"learned"`, `"sine"` (fixed) or `None`. The table of
            positions, see `keras_capi.layers.PositionTable`. Defaults to
            `"learned"`.
        interpolation_offset: Float. Offset when the table is resampled for
            images of another size: `0.0` as in MAE, `0.1` as in DINO, iBOT and
            DINOv2. Defaults to `0.0`.
        relative_positions: `None`, `"shared"` or `"per_block"`: attention
            biases for each offset between patches, in one table for all blocks
            or one for each. Images cannot be larger than `image_shape` then.
            Defaults to `None`.
        use_bias: Boolean. Whether the projections of the blocks have biases.
            Defaults to `True`.
        use_key_bias: Boolean. Whether the projection of the keys has one too.
            Defaults to `True`.
        layer_scale: Float or `None`. Initial value of the factors of
            `keras_capi.layers.LayerScale`; `None` uses none. Defaults to
            `None`.
        activation: `"gelu"`, or `"swiglu"` as in DINOv2's largest model.
            Defaults to `"gelu"`.
        post_norm: Boolean. Whether norms come last in a block, see
            `keras_capi.layers.TransformerBlock`, as in data2vec 2.0. Then there
            is no final norm, but one before the first block. Defaults to
            `False`.
        drop_path_rate: Float in `[0, 1)`. Rate of stochastic depth. Defaults to
            `0.0`.
        drop_path_method: `"naive"`, where the rate grows linearly from 0 in the
            first block, or `"efficient"`, with one rate for all blocks and less
            computation, as in DINOv2. Defaults to `"naive"`.
        kernel_initializer: Initializer of the kernels of the blocks, with
            queries, keys and values as one kernel. Defaults to
            `"glorot_uniform"`, as in MAE; DINO uses
            `keras.initializers.RandomNormal(stddev=0.02)`.
        patch_initializer: Initializer of the kernel of the patch embedding,
            seen as a matrix. Defaults to `"glorot_uniform"`, as in MAE; DINO
            uses `keras.initializers.VarianceScaling(1 / 3, "fan_in",
            "uniform")`.
        token_initializer: Initializer of class token and registers, or `None`
            for a normal one with deviation 0.02. DINOv2 uses
            `keras.initializers.RandomNormal(stddev=1e-6)`. Defaults to `None`.
        pad: Boolean. Whether to take images of any size, see
            `keras_capi.encoders.Encoder`. Defaults to `False`.
        seed: Integer or `None`. Seed of stochastic depth and dropout. Defaults
            to `None`.
        lora_rank: Integer or `None`. Rank to call `enable_lora` with; `None`
            adds no LoRA. Defaults to `None`.
        attention_dropout_rate: Float in `[0, 1)`. Share of the attention
            weights that are dropped in training, as in data2vec, see
            `keras_capi.layers.AttentionDropout`. Defaults to `0.0`.
        interpolation_antialias: Boolean. Whether the table is resampled with
            antialiasing, as in DINOv2 with registers. Defaults to `False`.

    Call arguments and output:
        Those of `keras_capi.encoders.Encoder`; the prefix is the class token
        and the registers.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> features = encoder(keras.random.uniform((2, 32, 40, 3)))
    >>> features["global"].shape  # (2, 48)
    >>> features["feature_map"].shape  # (2, 4, 5, 48)

    Reference:

    - [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929)
    - [MAE](https://arxiv.org/abs/2111.06377), appendix A.1
    - [DINO](https://arxiv.org/abs/2104.14294), section 3.2
    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.5 (relative positions)
    """

    def __init__(
        self,
        patch_size,
        num_layers,
        hidden_dim,
        num_heads,
        image_shape=(224, 224, 3),
        mlp_dim=None,
        class_token=True,
        num_register_tokens=0,
        positions="learned",
        interpolation_offset=0.0,
        relative_positions=None,
        use_bias=True,
        use_key_bias=True,
        layer_scale=None,
        activation="gelu",
        post_norm=False,
        drop_path_rate=0.0,
        drop_path_method="naive",
        kernel_initializer="glorot_uniform",
        patch_initializer="glorot_uniform",
        token_initializer=None,
        pad=False,
        seed=None,
        lora_rank=None,
        attention_dropout_rate=0.0,
        interpolation_antialias=False,
        **kwargs,
    ):
        check_non_negative_integer("num_register_tokens", num_register_tokens)
        super().__init__(
            patch_size,
            num_layers,
            hidden_dim,
            bool(class_token) + num_register_tokens,
            image_shape,
            pad,
            **kwargs,
        )
        with keras.RematScope(mode=None):
            self.prefix_tokens = PrefixTokens(
                class_token,
                num_register_tokens,
                token_initializer,
                dtype=self.dtype_policy,
                name="prefix_tokens",
            )
            self.patch_embedding = PatchEmbedding(
                patch_size,
                hidden_dim,
                patch_initializer,
                dtype=self.dtype_policy,
                name="patch_embedding",
            )
            self.positions = ViTPositions(
                self.grid_size(self.image_shape),
                hidden_dim,
                num_heads,
                num_layers,
                class_token,
                self.num_prefix_tokens,
                positions,
                interpolation_offset,
                relative_positions,
                interpolation_antialias,
                dtype=self.dtype_policy,
                name="positions",
            )
            check_number("drop_path_rate", drop_path_rate, "[0, 1)")
            self.drop_path = DropPath(
                drop_path_rate, drop_path_method, seed, name="drop_path"
            )
            check_number(
                "attention_dropout_rate", attention_dropout_rate, "[0, 1)"
            )
            self.attention_dropout = AttentionDropout(
                attention_dropout_rate,
                related_seed(seed, 1),
                name="attention_dropout",
            )
            name = "first_norm" if post_norm else "final_norm"
            norm = make_norm("layer", name, self.dtype_policy)
            self.first_norm = norm if post_norm else None
            self.final_norm = None if post_norm else norm
        self.position_grid = self.positions.fixed_grid
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.seed = seed
        self.blocks = make_blocks(
            num_layers,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            rotary=False,
            normalization="layer",
            use_bias=use_bias,
            use_key_bias=use_key_bias,
            layer_scale=layer_scale,
            activation=activation,
            post_norm=post_norm,
            kernel_initializer=kernel_initializer,
            dtype=self.dtype_policy,
        )
        self.build((None, None, None, self.image_shape[-1]))
        self.finish(lora_rank)

    def build(self, images_shape):
        shape = (None, None, self.hidden_dim)
        self.patch_embedding.build(images_shape)
        self.positions.build()
        norm = self.first_norm or self.final_norm
        for part in (self.prefix_tokens, *self.blocks, norm):
            part.build(shape)

    def embed(self, images, visible_indices=None):
        tokens = self.patch_embedding(images, visible_indices)
        positions = self.positions(
            grid_size=self.grid_size(ops.shape(images)[1:]),
            visible_indices=visible_indices,
        )
        return tokens, positions

    def encode(
        self,
        tokens,
        positions,
        layers=(),
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        normalize = normalize and self.final_norm is not None
        outputs = run_blocks(
            self.blocks,
            self.add_positions(tokens, positions),
            self.drop_path if training else None,
            self.drop_path.rates_by_depth(self.num_layers),
            self.positions.attention_biases(positions),
            self.attention_dropout if training else None,
            attention_mask=attention_mask,
        )
        outputs = {
            number: self.final_norm(tokens) if normalize else tokens
            for number, tokens in enumerate(outputs, start=1)
            if number in (*layers, self.num_layers)
        }
        return self.name_outputs(outputs, positions, layers)

    def add_positions(self, tokens, positions):
        tokens = self.prefix_tokens(
            self.positions.add(ops.cast(tokens, self.compute_dtype), positions),
            self.positions.class_position,
        )
        return tokens if self.first_norm is None else self.first_norm(tokens)

    def attention_weights(self, images, layer):
        tokens, positions = self.embed(images)
        weights = block_attention(
            self.blocks,
            self.add_positions(tokens, positions),
            layer,
            self.positions.attention_biases(positions),
        )
        return {self.prefix_name: weights[:, :, : self.num_prefix_tokens]}

    def pool(self, outputs, training=None):
        if self.prefix_tokens.has_class_token:
            return outputs["prefix"][:, 0]
        return super().pool(outputs, training)

    def list_unused_parts(self, uses_global, normalize=True):
        return [] if normalize or self.first_norm else [self.final_norm]

    def list_tokens(self):
        parts = filter(None, (self.prefix_tokens, self.positions.table))
        return [v for part in parts for v in part.trainable_variables]

    def weights_by_depth(self):
        blocks, behind = self.positions.add_to_depths(
            [block.weights for block in self.blocks],
            self.final_norm.weights if self.final_norm else [],
        )
        return split_by_depth(self.weights, blocks, behind)

    def get_config(self):
        return {**super().get_config(), **vit_config(self)}
