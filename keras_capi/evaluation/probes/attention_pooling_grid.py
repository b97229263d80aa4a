import keras
from keras import ops

from keras_capi.layers.blocks.default_num_heads import default_num_heads


class AttentionPoolingGrid(keras.layers.Layer):
    """Many `keras_capi.layers.AttentionPooling`, with stacked weights.

    Computes the same function in another order. As all probes see the same
    tokens, the query is multiplied into the key kernel, and the tokens are
    averaged before they are multiplied by the value kernel. Keys and values of
    all tokens for each probe would take gigabytes. The bias of the keys is left
    out: it adds the same number to all scores of a query and cancels in the
    softmax.

    Args:
        num_probes: Integer. Number of probes.
        kernel_initializer: Initializer of the kernels, of shape
            `(num_probes, width, heads, width // heads)`, and of the queries, of
            shape `(num_probes, heads, width // heads)`. Biases start at zero.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`.

    Output shape:
        `(batch, num_probes, width)`.

    Example:

    >>> pooling = AttentionPoolingGrid(30, kernel_initializer="glorot_uniform")
    >>> pooling(keras.random.normal((2, 256, 128))).shape  # (2, 30, 128)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(self, num_probes, kernel_initializer, **kwargs):
        super().__init__(**kwargs)
        self.num_probes = num_probes
        self.kernel_initializer = kernel_initializer

    def build(self, tokens_shape):
        width = tokens_shape[-1]
        num_heads = default_num_heads(width)
        heads_shape = (num_heads, width // num_heads)

        def add_weight(name, *shape, initializer=self.kernel_initializer):
            return self.add_weight(
                name=name,
                shape=(self.num_probes, *shape),
                initializer=initializer,
            )

        self.query = add_weight("query", *heads_shape)
        self.key = add_weight("key", width, *heads_shape)
        self.value = add_weight("value", width, *heads_shape)
        self.value_bias = add_weight(
            "value_bias", *heads_shape, initializer="zeros"
        )

    def call(self, tokens):
        batch_size, _, width = ops.shape(tokens)
        scale = self.query.shape[-1] ** -0.5
        query = ops.einsum("pdhk,phk->pdh", self.key, self.query * scale)
        scores = ops.einsum("btd,pdh->bpht", tokens, query)
        weights = ops.softmax(scores, axis=-1)
        attended = ops.einsum("bpht,btd->bphd", weights, tokens)
        pooled = ops.einsum("bphd,pdhk->bphk", attended, self.value)
        return ops.reshape(
            pooled + self.value_bias, (batch_size, self.num_probes, width)
        )
