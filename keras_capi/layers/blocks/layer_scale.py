import keras

from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learnt factor that starts small.

    Placed after each residual branch, so that a deep network starts close to
    the identity.

    Args:
        initial_value: Float. Initial value of the factors. Defaults to `1e-5`.

    Input and output shape:
        `(..., width)`.

    Example:

    >>> layer = keras_capi.layers.LayerScale(0.1)
    >>> layer(keras.random.normal((2, 6, 32))).shape  # (2, 6, 32)

    Reference:

    - [Touvron et al., 2021](https://arxiv.org/abs/2103.17239)
    """

    def __init__(self, initial_value=1e-5, **kwargs):
        super().__init__(**kwargs)
        check_number("initial_value", initial_value)
        self.initial_value = initial_value

    def build(self, inputs_shape):
        self.gamma = self.add_weight(
            name="gamma",
            shape=(inputs_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_value),
        )

    def call(self, inputs):
        return inputs * self.gamma

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "initial_value": self.initial_value}
