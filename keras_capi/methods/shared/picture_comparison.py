"""Comparison of images with what a tokenizer's decoder makes of them."""

from keras import ops

from keras_capi.layers.norms.channel_statistics import channel_statistics
from keras_capi.ops.images.color_margin import add_margin
from keras_capi.ops.images.color_margin import remove_margin
from keras_capi.ops.losses.logit_laplace import logit_laplace
from keras_capi.ops.losses.smooth_l1 import smooth_l1
from keras_capi.validation import check_choice

RECONSTRUCTIONS = ("squared", "smooth_l1", "logit_laplace")


class PictureComparison:
    """Interprets a decoder's outputs, and computes their errors.

    Args:
        reconstruction: See `keras_capi.methods.DiscreteVAE`.
        num_channels: Integer. Channels of the images.
        mean: See `keras_capi.methods.DiscreteVAE`.
        standard_deviation: The same.
    """

    def __init__(self, reconstruction, num_channels, mean, standard_deviation):
        check_choice("reconstruction", reconstruction, RECONSTRUCTIONS)
        self.reconstruction = reconstruction
        self.mean, self.standard_deviation = channel_statistics(
            mean, standard_deviation, num_channels
        )
        # Whether each colour has a location and a scale.
        self.has_scales = reconstruction == "logit_laplace"
        self.num_outputs = num_channels * (2 if self.has_scales else 1)

    def errors(self, images, outputs):
        """Returns the error of a decoder's outputs, value by value.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                normalised.
            outputs: Float32 tensor of shape
                `(batch, height, width, num_outputs)`.

        Returns:
            Float32 tensor of the images' shape.
        """
        images = ops.cast(images, "float32")
        if self.has_scales:
            colors = images * _constant(self.standard_deviation)
            colors = colors + _constant(self.mean)
            # Resized images can overshoot.
            colors = add_margin(ops.clip(colors, 0.0, 1.0))
            return logit_laplace(colors, *ops.split(outputs, 2, axis=-1))
        if self.reconstruction == "smooth_l1":
            return smooth_l1(images, outputs)
        return ops.square(outputs - images)

    def pictures(self, outputs):
        """Turns a decoder's outputs into normalised images.

        Args:
            outputs: Tensor of shape `(batch, height, width, num_outputs)`.

        Returns:
            Tensor of shape `(batch, height, width, channels)`.
        """
        if not self.has_scales:
            return outputs
        logits, _ = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        colors = remove_margin(ops.sigmoid(logits)) - _constant(self.mean)
        pictures = colors / _constant(self.standard_deviation)
        return ops.cast(pictures, outputs.dtype)


def _constant(values):
    return ops.convert_to_tensor(values, "float32")
