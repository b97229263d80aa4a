import keras
from keras import ops

KERNEL_SIZES = (3, 3, 1)


class ResidualConvolutions(keras.layers.Layer):
    """A residual block of three convolutions, for inputs of any width."""

    def build(self, input_shape):
        self.convolutions = [
            keras.layers.Conv2D(
                input_shape[-1],
                size,
                padding="same",
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )
            for index, size in enumerate(KERNEL_SIZES)
        ]
        for convolution in self.convolutions:
            convolution.build(input_shape)

    def call(self, inputs):
        residual = inputs
        for index, convolution in enumerate(self.convolutions):
            residual = convolution(ops.relu(residual) if index else residual)
        return inputs + residual

    def compute_output_shape(self, input_shape):
        return input_shape
