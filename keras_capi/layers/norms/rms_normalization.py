import keras

from keras_capi.ops.normalization import rms_normalize
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class RMSNormalization(keras.layers.RMSNormalization):
    """RMS normalisation of the last axis, for export on every backend.

    `keras.layers.RMSNormalization`, computed by `keras_capi.ops.rms_normalize`.

    Args:
        epsilon: Float. Added to the mean square. Defaults to `1e-5`.

    Input and output shape:
        `(..., width)`.

    Example:

    >>> norm = keras_capi.layers.RMSNormalization()
    >>> norm(keras.random.normal((2, 6, 32))).shape  # (2, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        check_positive("epsilon", epsilon)
        super().__init__(axis=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs):
        return rms_normalize(inputs, self.epsilon, self.scale)

    def get_config(self):
        config = super().get_config()
        del config["axis"]
        return config
