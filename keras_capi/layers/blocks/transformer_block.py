import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.block_parts import ACTIVATIONS
from keras_capi.layers.blocks.block_parts import check_block_parts
from keras_capi.layers.blocks.block_parts import hidden_sizes
from keras_capi.layers.blocks.block_parts import make_attention
from keras_capi.layers.blocks.block_parts import make_dense
from keras_capi.layers.blocks.block_parts import make_norm
from keras_capi.layers.blocks.block_parts import make_scale
from keras_capi.layers.blocks.block_parts import rematerialized
from keras_capi.layers.blocks.block_parts import scale
from keras_capi.layers.blocks.drop_path import DropPath
from keras_capi.layers.blocks.drop_path import add_branch
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# Tensors that a block may be called with, besides its inputs.
FOR_ATTENTION = (
    "coordinates",
    "context",
    "context_coordinates",
    "attention_bias",
    "attention_mask",
    "attention_dropout_sample",
)


@keras.saving.register_keras_serializable(package="keras_capi")
class TransformerBlock(keras.layers.Layer):
    """Transformer block: attention, then an MLP, each with a residual.

    With pre-norm, the default, `x + attention(norm(x))` and then `x +
    mlp(norm(x))`; with post-norm, `norm(x + attention(x))` and then `norm(x +
    mlp(x))`. With `context` there is cross-attention only, as in CAPI's
    predictor.

    The defaults are CAPI's: rotary positions, RMS norms and no biases. For the
    block of a standard vision transformer, use `rotary=False,
    normalization="layer", use_bias=True`.

    Args:
        num_heads: Integer. Number of attention heads.
        mlp_dim: Integer or `None`. Width of the MLP's hidden layer. `None` is 4
            times the width of the inputs, or about two thirds of that with a
            gate. Defaults to `None`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth: the share of the
            samples that skip a branch in training. Defaults to `0.0`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of stochastic depth and dropout. Defaults
            to `None`.
        rotary: Boolean. Whether attention has rotary positions
            (`keras_capi.layers.RotaryAttention`) or none
            (`keras_capi.layers.Attention`). Defaults to `True`.
        normalization: `"rms"`, with a scale, or `"layer"`, with a scale, a bias
            and an epsilon of `1e-6`. Defaults to `"rms"`.
        use_bias: Boolean. Whether projections have biases. Those of rotary
            attention never do. Defaults to `False`.
        use_key_bias: Boolean. Whether the projection of the keys has a bias,
            too, if `use_bias` is set. Defaults to `True`.
        layer_scale: Float or `None`. Initial value of the factors of
            `keras_capi.layers.LayerScale`, which scale both branches. `None`
            adds no such factors. Defaults to `None`.
        activation: `"gelu"`, exact, `"quick_gelu"`, or `"swiglu"`, see
            `keras_capi.ops`. Defaults to `"gelu"`.
        post_norm: Boolean. Whether the norms follow the branches. Defaults to
            `False`.
        kernel_initializer: Initializer of all kernels. `None` is as in CAPI,
            see `keras_capi.layers.Attention`. Defaults to `None`.
        attention_dropout_rate: Float in `[0, 1)`. Share of the attention
            weights that are dropped in training. Defaults to `0.0`.
        causal: Boolean. Whether a token attends only to itself and to the
            tokens before it. Defaults to `False`.

    Call arguments:
        inputs: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`. For rotary attention only.
        context: Optional float tensor of shape `(batch, others, any width)`.
        context_coordinates: Coordinates of the tokens of `context`.
        drop_path_sample: Which samples take each branch, from
            `DropPath.sample(batch_size, 2)`. A model draws those of all blocks
            at once. By default the block draws its own.
        attention_bias: Optional float tensor of shape
            `(batch or 1, num_heads or 1, tokens, others)`, added to the scores.
        attention_mask: Optional Boolean tensor of shape
            `(batch or 1, tokens, others)`: which tokens may attend to which.
        attention_dropout_sample: As for `keras_capi.layers.Attention`.

    Output shape:
        `(batch, tokens, width)`.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> block = keras_capi.layers.TransformerBlock(num_heads=4)
    >>> block(tokens, coordinates).shape  # (2, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        num_heads,
        mlp_dim=None,
        drop_path_rate=0.0,
        drop_path_method="efficient",
        seed=None,
        rotary=True,
        normalization="rms",
        use_bias=False,
        use_key_bias=True,
        layer_scale=None,
        activation="gelu",
        post_norm=False,
        kernel_initializer=None,
        attention_dropout_rate=0.0,
        causal=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision is too coarse for coordinates.
        self.autocast = False
        check_positive_integer("mlp_dim", mlp_dim, or_none=True)
        check_number("drop_path_rate", drop_path_rate, "[0, 1)")
        check_seed("seed", seed)
        check_block_parts(normalization, activation, layer_scale)
        self.mlp_dim = mlp_dim
        self.num_heads = num_heads
        self.seed = seed
        self.drop_path_rate = drop_path_rate
        self.drop_path_method = drop_path_method
        self.rotary = rotary
        self.normalization = normalization
        self.use_bias = use_bias
        self.use_key_bias = use_key_bias
        self.layer_scale = layer_scale
        self.activation = activation
        self.post_norm = post_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.attention_dropout_rate = attention_dropout_rate
        self.causal = causal
        self.drop_path = None
        if drop_path_rate:
            self.drop_path = DropPath(
                drop_path_rate, drop_path_method, seed, dtype=self.dtype_policy
            )
        # A `keras.RematScope` applies to the block as a whole.
        with keras.RematScope(mode=None):
            dtype = self.dtype_policy
            self.attention_norm = make_norm(
                normalization, "attention_norm", dtype
            )
            self.attention = make_attention(self)
            self.mlp_norm = make_norm(normalization, "mlp_norm", dtype)
            self.attention_scale = make_scale(
                layer_scale, "attention_scale", dtype
            )
            self.mlp_scale = make_scale(layer_scale, "mlp_scale", dtype)

    def build(
        self,
        inputs_shape,
        coordinates_shape=None,
        context_shape=None,
        context_coordinates_shape=None,
        drop_path_sample_shape=None,
    ):
        width = inputs_shape[-1]
        units, mlp_dim = hidden_sizes(self.activation, self.mlp_dim, width)
        shape = (None, None, width)
        with keras.RematScope(mode=None):
            self.attention_norm.build(shape)
            self.attention.build(shape, context_shape=context_shape)
            self.mlp_norm.build(shape)
            self.mlp_hidden = make_dense(self, units, "mlp_hidden")
            self.mlp_hidden.build(shape)
            self.mlp_output = make_dense(self, width, "mlp_output")
            self.mlp_output.build((None, None, mlp_dim))
            for layer in (self.attention_scale, self.mlp_scale):
                if layer is not None:
                    layer.build(shape)

    @property
    def projections(self):
        """The `keras.layers.Dense` layers, once built."""
        return [*self.attention.projections, self.mlp_hidden, self.mlp_output]

    @backend.compiled_block
    def call(
        self,
        inputs,
        coordinates=None,
        context=None,
        context_coordinates=None,
        drop_path_sample=None,
        attention_bias=None,
        attention_mask=None,
        attention_dropout_sample=None,
    ):
        if attention_mask is not None:
            attention_mask = ops.cast(attention_mask, "bool")
        tensors = (
            coordinates,
            context,
            context_coordinates,
            attention_bias,
            attention_mask,
            attention_dropout_sample,
        )
        given = dict(zip(FOR_ATTENTION, tensors, strict=True))
        given = {k: v for k, v in given.items() if v is not None}

        def attend(x, *arguments):
            return self.attend(x, **dict(zip(given, arguments, strict=True)))

        arguments = list(given.values())
        x = ops.cast(inputs, self.compute_dtype)
        if drop_path_sample is None and self.drop_path is not None:
            x = self.drop_path(x, branch=attend, arguments=arguments)
            x = self.norm_sum(self.attention_norm, x)
            x = self.drop_path(x, branch=self.feed_forward)
            return self.norm_sum(self.mlp_norm, x)
        if drop_path_sample is None:
            drop_path_sample = (None, None)
        x = add_branch(x, attend, arguments, drop_path_sample[0])
        x = self.norm_sum(self.attention_norm, x)
        x = add_branch(x, self.feed_forward, (), drop_path_sample[1])
        return self.norm_sum(self.mlp_norm, x)

    def attend(self, x, **arguments):
        """Returns what the attention adds to tokens."""
        x = self.norm_input(self.attention_norm, x)
        return scale(self.attention(x, **arguments), self.attention_scale)

    def feed_forward(self, x):
        """Returns what the MLP adds to tokens."""
        hidden = self.mlp_hidden(self.norm_input(self.mlp_norm, x))
        hidden = ACTIVATIONS[self.activation](hidden)
        return scale(self.mlp_output(hidden), self.mlp_scale)

    def norm_input(self, norm, x):
        """Normalises the input of a branch, with pre-norm."""
        return x if self.post_norm else norm(x)

    def norm_sum(self, norm, x):
        """Normalises the sum of tokens and branch, with post-norm."""
        return norm(x) if self.post_norm else x

    def call_next(self, x, *cache):
        """Runs the block on the next token, see `Attention.attend_next`."""
        normed = self.norm_input(self.attention_norm, x)
        attended, *cache = self.attention.attend_next(normed, *cache)
        x = x + scale(attended, self.attention_scale)
        x = self.norm_sum(self.attention_norm, x)
        x = x + self.feed_forward(x)
        return self.norm_sum(self.mlp_norm, x), *cache

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """Rematerialises a call, see `rematerialized`."""
        if self.drop_path or self.attention_dropout_rate:
            return layer_call  # Run again, it would draw other numbers.
        names = ("inputs", *FOR_ATTENTION[:3], "drop_path_sample")
        names = (*names, *FOR_ATTENTION[3:])
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        return rematerialized(super().rematerialized_call, layer_call, given)

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "drop_path_rate": self.drop_path_rate,
            "drop_path_method": self.drop_path_method,
            "seed": self.seed,
            "rotary": self.rotary,
            "normalization": self.normalization,
            "use_bias": self.use_bias,
            "use_key_bias": self.use_key_bias,
            "layer_scale": self.layer_scale,
            "activation": self.activation,
            "post_norm": self.post_norm,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "attention_dropout_rate": self.attention_dropout_rate,
            "causal": self.causal,
        }
