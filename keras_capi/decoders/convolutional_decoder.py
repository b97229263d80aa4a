import keras

from keras_capi.layers.residual_convolutions import ResidualConvolutions
from keras_capi.validation import check_positive_integer

KERNEL_SIZE = 4


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
        self.convolutions = [
            keras.layers.Conv2DTranspose(
                hidden_dim,
                KERNEL_SIZE,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )
            for index in range(num_stages)
        ]
        self.residuals = [
            ResidualConvolutions(
                dtype=self.dtype_policy, name=f"residual_{index}"
            )
            for index in range(num_stages)
        ]
        self.head = keras.layers.Conv2D(
            num_channels,
            1,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="head",
        )

    def build(self, features_shape):
        shape = features_shape
        for convolution, residual in zip(
            self.convolutions, self.residuals, strict=True
        ):
            convolution.build(shape)
            shape = (None, None, None, self.hidden_dim)
            residual.build(shape)
        self.head.build(shape)

    def call(self, features):
        for convolution, residual in zip(
            self.convolutions, self.residuals, strict=True
        ):
            features = residual(convolution(features))
        return self.head(features)

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
