import keras
from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class LayerNormalization(keras.layers.LayerNormalization):
    """Layer normalisation of the last axis, for export on every backend.

    `keras.layers.LayerNormalization` with the epsilon of vision transformers.

    Args:
        epsilon: Float. Added to the variance. Defaults to `1e-6`.

    Input and output shape:
        `(..., width)`.

    Example:

    >>> norm = keras_capi.layers.LayerNormalization()
    >>> norm(keras.random.normal((2, 6, 32))).shape  # (2, 6, 32)

    Reference:

    - [Ba et al., 2016](https://arxiv.org/abs/1607.06450)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        check_positive("epsilon", epsilon)
        super().__init__(axis=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs):
        outputs = backend.layer_normalization(
            inputs, self.gamma, self.beta, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        del config["axis"], config["rms_scaling"]
        return config
