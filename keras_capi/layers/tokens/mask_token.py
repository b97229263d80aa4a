import keras

from keras_capi.ops.tokens import replace_tokens


@keras.saving.register_keras_serializable(package="keras_capi")
class MaskToken(keras.layers.Layer):
    """Replaces the tokens of hidden patches by one learnt token.

    For methods whose encoder sees all positions, including those of hidden
    patches. It belongs to the method and not to the encoder, which is used
    without masks once it is trained.

    Args:
        initializer: Initializer of the token. `None` is normal with a standard
            deviation of 0.02. Defaults to `None`.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`, before positions
            and prefix tokens are added.
        mask: Boolean tensor of shape `(batch, tokens)`: which tokens to
            replace.

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
        # Keras would take `mask` for the mask of a sequence, and warn.
        self.supports_masking = True
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)

    def build(self, tokens_shape, mask_shape=None):
        # With an axis for tokens, so that weight decay treats it as a matrix.
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
