"""Stages of convolutional networks: a convolution and a residual block each.

A network keeps both lists as attributes of its own, which name its weights in
files.
"""

from keras_capi.layers.residual_convolutions import ResidualConvolutions

KERNEL_SIZE = 4


def make_stages(convolution_class, num_stages, width, dtype):
    """Returns the layers of stages that halve or double the size.

    Args:
        convolution_class: `keras.layers.Conv2D` or
            `keras.layers.Conv2DTranspose`.
        num_stages: Integer.
        width: Integer. Width of all stages.
        dtype: Dtype policy.

    Returns:
        Tuple of two lists: the convolutions and the residual blocks.
    """
    convolutions = [
        convolution_class(
            width,
            KERNEL_SIZE,
            strides=2,
            padding="same",
            data_format="channels_last",
            activation="relu",
            dtype=dtype,
            name=f"convolution_{index}",
        )
        for index in range(num_stages)
    ]
    residuals = [
        ResidualConvolutions(dtype=dtype, name=f"residual_{index}")
        for index in range(num_stages)
    ]
    return convolutions, residuals


def build_stages(convolutions, residuals, width):
    """Builds stages for inputs of some width; returns the width behind them."""
    for convolution, residual in zip(convolutions, residuals, strict=True):
        convolution.build((None, None, None, width))
        width = convolution.filters
        residual.build((None, None, None, width))
    return width


def run_stages(convolutions, residuals, features):
    """Runs stages on a tensor of shape `(batch, height, width, channels)`."""
    for convolution, residual in zip(convolutions, residuals, strict=True):
        features = residual(convolution(features))
    return features
