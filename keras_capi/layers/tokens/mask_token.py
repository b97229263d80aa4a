import keras

from keras_capi.ops.tokens import replace_tokens


@keras.saving.register_keras_serializable(package="keras_capi")
class MaskToken(keras.layers.Layer):
    """Puts one learnt token in the place of those of hidden patches.

    For methods whose encoder sees all places, those of hidden patches too. It
    belongs to the method and not to the encoder, which nobody uses with masks
    once it is trained.

    Args:
        initializer: Initializer of the token, or `None` for a normal
            distribution of standard deviation 0.02. Defaults to `None`.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`, without
            positions and prefix.
        mask: Boolean tensor of shape `(batch, tokens)`: which to replace.

    Output shape:
        `(batch, tokens, width)`.

    Example:

    >>> layer = keras_capi.layers.MaskToken()
    >>> mask = np.array([[True, False, True]])
    >>> layer(keras.random.normal((1, 3, 32)), mask).shape  # (1, 3, 32)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    - [SimMIM](https://arxiv.org/abs/2111.09886), section 3.2
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        # Keras takes `mask` for one of a sequence, and warns.
        self.supports_masking = True
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)

    def build(self, tokens_shape, mask_shape=None):
        # With an axis that counts tokens: it decays like a matrix.
        self.token = self.add_weight(
            name="token",
            shape=(1, tokens_shape[-1]),
            initializer=self.initializer,
        )

    def call(self, tokens, mask):
        return replace_tokens(tokens, mask, self.token)

    def compute_mask(self, inputs, previous_mask):
        return None  # Replaced tokens count like all others.

    def compute_output_spec(self, tokens, mask):
        return keras.KerasTensor(tokens.shape, self.compute_dtype)

    def compute_output_shape(self, tokens_shape, mask_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }
