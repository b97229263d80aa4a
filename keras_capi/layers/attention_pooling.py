import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.default_num_heads import default_num_heads
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class AttentionPooling(keras.layers.Layer):
    """Pools tokens into one vector with a learnt attention query.

    This is the paper's attentive probe without its classifier. An average
    weighs all patches alike; attention finds those that matter for the task.

    Args:
        num_heads: Integer or `None`. Number of attention heads. Must divide the
            width of the tokens. `None` is the smallest divisor of the width
            from `width // 64` on: heads of size 64, as published, where the
            width allows. Defaults to `None`.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`.

    Output shape:
        `(batch, width)`.

    Raises:
        ValueError: If `num_heads` does not divide the width.

    Example:

    >>> pooling = keras_capi.layers.AttentionPooling()
    >>> pooling(keras.random.normal((2, 256, 128))).shape  # (2, 128)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(self, num_heads=None, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("num_heads", num_heads, or_none=True)
        self.num_heads = num_heads

    def build(self, tokens_shape):
        width = tokens_shape[-1]
        head_count = self.num_heads or default_num_heads(width)
        if width % head_count:
            raise ValueError(
                "`num_heads` must divide the width of the tokens. Received: "
                f"num_heads={self.num_heads}, width={width}"
            )
        self.head_count = head_count
        self.query = self.add_weight(
            name="query",
            shape=(width,),
            # The authors truncate at the values -2 and 2, not at two standard
            # deviations.
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.key_value = keras.layers.Dense(
                2 * width,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                dtype=self.dtype_policy,
                name="key_value",
            )
        self.key_value.build(tokens_shape)

    def call(self, tokens):
        batch_size, num_tokens, width = ops.shape(tokens)
        head_dim = width // self.head_count
        key_value = ops.reshape(
            self.key_value(tokens),
            (batch_size, num_tokens, 2 * self.head_count, head_dim),
        )
        key = key_value[:, :, : self.head_count]
        value = key_value[:, :, self.head_count :]
        query = ops.reshape(self.query, (1, 1, self.head_count, head_dim))
        query = ops.broadcast_to(
            ops.cast(query, self.compute_dtype),
            (batch_size, 1, self.head_count, head_dim),
        )
        pooled = backend.dot_product_attention(query, key, value)
        return ops.reshape(pooled, (batch_size, width))

    def compute_output_shape(self, tokens_shape):
        return (tokens_shape[0], tokens_shape[-1])

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
