import keras
from keras import ops

from keras_capi.layers.views.normalization import check_normalization
from keras_capi.layers.views.normalization import normalization_tensors
from keras_capi.layers.views.random_view import check_batch
from keras_capi.ops.colors.lab import lab_to_rgb
from keras_capi.ops.colors.lab import rgb_to_lab
from keras_capi.validation import check_positive_integer

# Lightness is from 0 to 100.
HALF_LIGHTNESS, LIGHTNESS = 50.0, 100.0


@keras.saving.register_keras_serializable(package="keras_capi")
class ColorRemoval(keras.layers.Layer):
    """Splits images into images without colours, and their colours.

    Images are converted to CIE Lab. With 3 channels the lightness is returned
    as a grey image that is normalised as the original was, so that the network
    can be used on colour images later. With 1 channel it is `(lightness - 50) /
    100`, as published.

    Args:
        num_channels: Integer, 3 or 1. Number of channels of the images without
            colours. Defaults to `3`.
        stride: Integer. Colours are returned for every `stride`-th pixel along
            both axes, starting with the first, without averaging. Defaults to
            `4`.
        mean: Tuple of three floats: what was subtracted from pixels in `[0,
            1]`. `None` is ImageNet's mean. Defaults to `None`.
        std: Tuple of three floats: what they were then divided by. Defaults to
            `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, 3)`, normalised.
        grid_size: Not used; other corruptions need it.

    Output shape:
        `{"corrupted_images": (batch, height, width, num_channels), "colors":
        (batch, height / stride, width / stride, 2)}`, sizes rounded up. The
        images are in the compute dtype; the colours, a and b of CIE Lab, in
        float32.

    Raises:
        ValueError: If an argument is out of range, or if the images do not have
            three channels.

    Example:

    >>> removal = keras_capi.layers.ColorRemoval()
    >>> parts = removal(keras.random.normal((2, 32, 32, 3)))
    >>> parts["corrupted_images"].shape  # (2, 32, 32, 3)
    >>> parts["colors"].shape  # (2, 8, 8, 2)

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section 2
    """

    def __init__(self, num_channels=3, stride=4, mean=None, std=None, **kwargs):
        # Half precision would round colours.
        super().__init__(autocast=False, **kwargs)
        check_positive_integer("num_channels", num_channels)
        if num_channels not in (1, 3):
            raise ValueError(
                "`num_channels` must be 1 or 3. "
                f"Received: num_channels={num_channels}"
            )
        check_positive_integer("stride", stride)
        self.num_channels = num_channels
        self.stride = stride
        self.mean, self.std = check_normalization(mean, std)
        self.built = True

    def call(self, images, grid_size=None):
        _check_rgb(images)
        lab = rgb_to_lab(self._to_unit(images))
        lightness = lab[..., :1]
        if self.num_channels == 1:
            gray = (lightness - HALF_LIGHTNESS) / LIGHTNESS
        else:
            gray = self._from_lab(lightness, ops.zeros_like(lab[..., 1:]))
        return {
            "corrupted_images": ops.cast(gray, self.compute_dtype),
            "colors": lab[:, :: self.stride, :: self.stride, 1:],
        }

    def restore(self, images, colors):
        """Adds colours to images without them.

        Args:
            images: Float tensor of shape `(batch, height, width,
                num_channels)`, without colours.
            colors: Float tensor of shape `(batch, rows, columns, 2)`, enlarged
                bilinearly.

        Returns:
            Float32 tensor of shape `(batch, height, width, 3)`, normalised.
        """
        images = ops.cast(images, "float32")
        if self.num_channels == 1:
            lightness = images * LIGHTNESS + HALF_LIGHTNESS
        else:
            lightness = rgb_to_lab(self._to_unit(images))[..., :1]
        colors = ops.image.resize(
            ops.cast(colors, "float32"),
            ops.shape(images)[1:3],
            interpolation="bilinear",
            data_format="channels_last",
        )
        return self._from_lab(lightness, colors)

    def _to_unit(self, images):
        mean, std = normalization_tensors(self.mean, self.std, 3)
        return ops.clip(ops.cast(images, "float32") * std + mean, 0.0, 1.0)

    def _from_lab(self, lightness, colors):
        mean, std = normalization_tensors(self.mean, self.std, 3)
        lab = ops.concatenate([lightness, colors], axis=-1)
        return (lab_to_rgb(lab) - mean) / std

    def compute_output_spec(self, images, grid_size=None):
        _check_rgb(images)
        batch_size, *size, _ = images.shape
        reduced = [None if n is None else -(-n // self.stride) for n in size]
        return {
            "corrupted_images": keras.KerasTensor(
                (batch_size, *size, self.num_channels), self.compute_dtype
            ),
            "colors": keras.KerasTensor((batch_size, *reduced, 2), "float32"),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "num_channels": self.num_channels,
            "stride": self.stride,
            "mean": self.mean,
            "std": self.std,
        }


def _check_rgb(images):
    check_batch(images)
    if images.shape[-1] != 3:
        raise ValueError(
            "`images` must have 3 channels, red, green and blue: others have "
            f"no colours. Received: images.shape={tuple(images.shape)}"
        )
