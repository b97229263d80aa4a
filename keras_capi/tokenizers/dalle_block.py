import keras
from keras import ops

# How much narrower a block's hidden layers are than its output.
NARROWER = 4


class DALLEBlock(keras.layers.Layer):
    """A residual block of four convolutions, as in DALL-E's tokenizer.

    Args:
        width: Integer. Channels of the output.
        kernel_sizes: Tuple of four integers.
        gain: Float. Factor of the residual.
    """

    def __init__(self, width, kernel_sizes, gain, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.gain = gain
        hidden_dim = max(width // NARROWER, 1)
        widths = [hidden_dim] * (len(kernel_sizes) - 1) + [width]
        self.convolutions = [
            make_convolution(n, size, self.dtype_policy, f"convolution_{i}")
            for i, (n, size) in enumerate(
                zip(widths, kernel_sizes, strict=True), start=1
            )
        ]
        self.shortcut = None

    def build(self, input_shape):
        shape = input_shape
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = (*shape[:-1], convolution.filters)
        if input_shape[-1] != self.width:
            self.shortcut = make_convolution(
                self.width, 1, self.dtype_policy, "shortcut"
            )
            self.shortcut.build(input_shape)

    def call(self, inputs):
        residual = inputs
        for convolution in self.convolutions:
            residual = convolution(ops.relu(residual))
        if self.shortcut is not None:
            inputs = self.shortcut(inputs)
        return inputs + self.gain * residual

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)


def make_convolution(width, kernel_size, dtype, name):
    """Returns a convolution with zero padding, initialised as in DALL-E."""
    return keras.layers.Conv2D(
        width,
        kernel_size,
        padding="same",
        data_format="channels_last",
        # Normal, with a variance of one divided by the number of inputs.
        kernel_initializer=keras.initializers.VarianceScaling(
            1.0, "fan_in", "untruncated_normal"
        ),
        dtype=dtype,
        name=name,
    )
