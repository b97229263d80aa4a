import keras

from keras_capi.layers.convolution_stages import build_stages
from keras_capi.layers.convolution_stages import make_stages
from keras_capi.layers.convolution_stages import run_stages
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ConvolutionalDecoder(keras.layers.Layer):
    """Turns a map of words into images, with transposed convolutions.

    The counterpart of `keras_capi.encoders.ConvolutionalEncoder`.

    Args:
        num_stages: Integer. How often the map is doubled in size.
        hidden_dim: Integer. Width of all stages. Defaults to `256`.
        num_channels: Integer. Channels of the images. Defaults to `3`.

    Call arguments:
        features: Float tensor of shape `(batch, rows, columns, width)`.

    Output shape:
        `(batch, rows * 2**num_stages, columns * 2**num_stages, num_channels)`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> decoder = keras_capi.decoders.ConvolutionalDecoder(2, hidden_dim=16)
    >>> decoder(keras.random.normal((2, 4, 4, 8))).shape  # (2, 16, 16, 3)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), whose code contains it
    """

    def __init__(self, num_stages, hidden_dim=256, num_channels=3, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("num_stages", num_stages)
        check_positive_integer("hidden_dim", hidden_dim)
        check_positive_integer("num_channels", num_channels)
        self.num_stages = num_stages
        self.hidden_dim = hidden_dim
        self.num_channels = num_channels
        self.convolutions, self.residuals = make_stages(
            keras.layers.Conv2DTranspose,
            num_stages,
            hidden_dim,
            self.dtype_policy,
        )
        self.head = keras.layers.Conv2D(
            num_channels,
            1,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="head",
        )

    def build(self, features_shape):
        width = build_stages(
            self.convolutions, self.residuals, features_shape[-1]
        )
        self.head.build((None, None, None, width))

    def call(self, features):
        return self.head(
            run_stages(self.convolutions, self.residuals, features)
        )

    def compute_output_shape(self, features_shape):
        count, rows, columns, _ = features_shape
        scale = 2**self.num_stages
        size = (None if n is None else n * scale for n in (rows, columns))
        return (count, *size, self.num_channels)

    def get_config(self):
        return {
            **super().get_config(),
            "num_stages": self.num_stages,
            "hidden_dim": self.hidden_dim,
            "num_channels": self.num_channels,
        }
