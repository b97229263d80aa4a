import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.attention_dropout import AttentionDropout
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.blocks.fused_initializer import fused_initializer
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class Attention(keras.layers.Layer):
    """Multi-head attention of tokens to each other, or to a context.

    Without `context` the tokens attend to each other (self-attention); with it
    they attend to the tokens of the context (cross-attention). The first call
    or `build` decides which. The layer itself has no notion of positions: add
    them to the tokens, or pass a bias for the attention scores.
    `keras_capi.layers.RotaryAttention` has rotary positions.

    Args:
        num_heads: Integer. Number of attention heads. Must divide the width of
            the inputs.
        use_bias: Boolean. Whether the projections have biases. Defaults to
            `True`.
        use_key_bias: Boolean. Whether the projection of the keys has a bias,
            too. It does not change the output, as it cancels in the softmax.
            Defaults to `True`.
        kernel_initializer: Initializer of the kernels. Queries, keys and values
            are initialised together, as one fused kernel. `None` is Glorot
            uniform with the bound that each would have alone. Defaults to
            `None`.
        attention_dropout_rate: Float in `[0, 1)`. Share of the attention
            weights that are dropped in training, see
            `keras_capi.layers.AttentionDropout`. Defaults to `0.0`.
        seed: Integer or `None`. Seed of the dropout. Defaults to `None`.
        causal: Boolean. Whether a token attends only to itself and to the
            tokens before it. For self-attention only. Defaults to `False`.

    Call arguments:
        inputs: Float tensor of shape `(batch, tokens, width)`.
        context: Optional float tensor of shape `(batch, others, any width)`.
        attention_bias: Optional float tensor, added to the scaled scores, of
            shape `(batch or 1, num_heads or 1, tokens, others)`.
        attention_mask: Optional Boolean tensor of shape
            `(batch or 1, tokens, others)`: which tokens may attend to which.
        attention_dropout_sample: Optional float32 tensor of shape `(batch,
            num_heads, tokens, others)`, from `AttentionDropout.sample`. By
            default the layer draws its own in training.
        training: Boolean. Whether dropout is active.

    Output shape:
        `(batch, tokens, width)`.

    Raises:
        ValueError: If the width is not divisible by `num_heads`, or if `causal`
            is combined with a context.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> attention = keras_capi.layers.Attention(num_heads=4)
    >>> attention(tokens).shape  # (2, 6, 32)

    Reference:

    - [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    - [BEiT](https://arxiv.org/abs/2106.08254), whose keys have no bias
    """

    def __init__(
        self,
        num_heads,
        use_bias=True,
        use_key_bias=True,
        kernel_initializer=None,
        attention_dropout_rate=0.0,
        seed=None,
        causal=False,
        **kwargs,
    ):
        # Rematerialisation would drop other weights in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        # Half precision is too coarse for dropout factors and coordinates.
        self.autocast = False
        check_positive_integer("num_heads", num_heads)
        self.num_heads = num_heads
        self.use_bias = use_bias
        self.use_key_bias = use_key_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        check_number("attention_dropout_rate", attention_dropout_rate, "[0, 1)")
        self.attention_dropout_rate = attention_dropout_rate
        self.seed = seed
        self.causal = causal
        self.attention_dropout = None
        if attention_dropout_rate:
            self.attention_dropout = AttentionDropout(
                attention_dropout_rate, seed, name="attention_dropout"
            )

    def build(self, inputs_shape, context_shape=None):
        width = inputs_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of the tokens. "
                f"Received: num_heads={self.num_heads}, width={width}"
            )
        self.head_dim = width // self.num_heads
        self.is_self_attention = context_shape is None
        if self.causal and not self.is_self_attention:
            raise ValueError(
                "`causal` is for self-attention. Received: causal=True, and a "
                f"context of shape {context_shape}"
            )
        fuses_biases = self.use_bias and self.use_key_bias
        self.query_bias = self.value_bias = None
        if self.use_bias and not self.use_key_bias:
            self.query_bias = self._add_bias("query_bias", width)
            self.value_bias = self._add_bias("value_bias", width)
        if self.is_self_attention:
            self.query_key_value = self._add_projection(
                "query_key_value", width, (width,) * 3, fuses_biases
            )
        else:
            self.query = self._add_projection(
                "query", width, (width,), fuses_biases
            )
            self.key_value = self._add_projection(
                "key_value", context_shape[-1], (width,) * 2, fuses_biases
            )
        self.output_projection = self._add_projection(
            "output_projection", width, (width,), self.use_bias
        )

    def _add_bias(self, name, width):
        return self.add_weight(name=name, shape=(width,), initializer="zeros")

    def _add_projection(self, name, input_dim, output_dims, use_bias):
        # Projections of the same input are fused, for speed.
        dense = Dense(
            sum(output_dims),
            use_bias=use_bias,
            kernel_initializer=fused_initializer(
                self.kernel_initializer, input_dim, output_dims
            ),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build((None, None, input_dim))
        return dense

    @property
    def projections(self):
        """List of the `keras.layers.Dense` layers. Needs a built layer."""
        if self.is_self_attention:
            return [self.query_key_value, self.output_projection]
        return [self.query, self.key_value, self.output_projection]

    def call(
        self,
        inputs,
        context=None,
        attention_bias=None,
        attention_mask=None,
        attention_dropout_sample=None,
        training=None,
    ):
        return self._attend(
            self._project(inputs, context),
            attention_bias,
            attention_mask,
            attention_dropout_sample,
            training,
        )

    def attend_next(self, inputs, keys, values, place):
        """Computes attention for the next token, with cached keys and values.

        Generates a sequence token by token, without computing the earlier
        tokens again. For self-attention without rotary positions.

        Args:
            inputs: Float tensor of shape `(batch, 1, width)`.
            keys: Float tensor of shape `(batch, tokens, num_heads, width /
                num_heads)`: the keys of the tokens before this one. Rows after
                them are ignored.
            values: Likewise.
            place: Integer or scalar tensor: how many tokens come before.

        Returns:
            Tuple of a tensor of the shape of `inputs`, and of `keys` and
            `values` with those of this token too.
        """
        query, key, value = self._project(inputs, None)
        places = ops.arange(keys.shape[1])
        is_here = (places == place)[:, None, None]
        keys = ops.where(is_here, key, keys)
        values = ops.where(is_here, value, values)
        mask = (places <= place)[None, None]
        attended = self._attend((query, keys, values), None, mask, causal=False)
        return attended, keys, values

    def attention_weights(
        self, inputs, context=None, attention_bias=None, attention_mask=None
    ):
        """Returns the attention weights: how much tokens attend to each other.

        For inspection. Takes the arguments of a call and applies no dropout. A
        call without dropout never holds this array in memory.

        Returns:
            Float32 tensor of shape `(batch, num_heads, tokens, others)`, whose
            sums over the last axis are 1.
        """
        return self._weights(
            self._project(inputs, context), attention_bias, attention_mask
        )

    def _attend(
        self, projected, bias, mask, sample=None, training=None, causal=None
    ):
        query, key, value = projected
        batch_size, num_tokens = ops.shape(query)[:2]
        if sample is None and self.attention_dropout and training:
            sample = self.attention_dropout.sample(
                (batch_size, self.num_heads, num_tokens, ops.shape(key)[1])
            )
        causal = self.causal if causal is None else causal
        attended = backend.dot_product_attention(
            query, key, value, bias, mask, sample, causal
        )
        attended = ops.reshape(
            attended, (batch_size, num_tokens, self.num_heads * self.head_dim)
        )
        return self.output_projection(attended)

    def _weights(self, projected, bias, mask):
        query, key = (ops.cast(x, "float32") for x in projected[:2])
        return backend.attention_weights(query, key, bias, mask, self.causal)

    def _project(self, inputs, context):
        """Returns queries, keys and values `(batch, tokens, heads, size)`."""
        *query, fused = self._project_together(inputs, context)
        sizes = (self.num_heads,) * (3 - len(query))
        return *query, *backend.split(fused, sizes, 2)

    def _project_together(self, inputs, context):
        """Returns what of queries, keys and values has the same input fused."""
        if self.is_self_attention != (context is None):
            raise ValueError(
                f"`{type(self).__name__}` is built for self-attention or for "
                "cross-attention (with `context`) and cannot change. Received: "
                f"context={context}"
            )
        if context is None:
            projected = self.query_key_value(inputs)
            biases = (self.query_bias, None, self.value_bias)
            return (self._split_heads(self._add_biases(projected, biases)),)
        query = self._add_biases(self.query(inputs), (self.query_bias,))
        key_value = self._add_biases(
            self.key_value(context), (None, self.value_bias)
        )
        return self._split_heads(query), self._split_heads(key_value)

    def _add_biases(self, projected, biases):
        if self.query_bias is None:
            return projected
        zeros = ops.zeros(self.query_bias.shape, projected.dtype)
        parts = [
            zeros if bias is None else ops.cast(bias, projected.dtype)
            for bias in biases
        ]
        return projected + ops.concatenate(parts)

    def _split_heads(self, projected):
        batch_size, num_tokens, width = ops.shape(projected)
        return ops.reshape(
            projected,
            (batch_size, num_tokens, width // self.head_dim, self.head_dim),
        )

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "use_bias": self.use_bias,
            "use_key_bias": self.use_key_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "attention_dropout_rate": self.attention_dropout_rate,
            "seed": self.seed,
            "causal": self.causal,
        }
