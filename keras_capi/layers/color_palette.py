import keras
import numpy as np
from keras import ops

from keras_capi.layers.norms.channel_statistics import channel_statistics
from keras_capi.ops.colors.nearest_colors import nearest_colors
from keras_capi.ops.value_range import check_value_range
from keras_capi.validation import check_normalized
from keras_capi.validation import check_positive_integer
from keras_capi.validation import known_channels


@keras.saving.register_keras_serializable(package="keras_capi")
class ColorPalette(keras.layers.Layer):
    """Maps each pixel to the number of the closest colour of a palette.

    The palette is the weight `colors`, of shape `(num_colors, num_channels)`,
    with values from -1 (black) to 1. It is not trained: it starts as an even
    grid, and `assign_colors` replaces it.

    Args:
        num_colors: Integer. Number of colours. Defaults to `512`.
        num_channels: Integer. Channels of the images. Defaults to `3`.
        mean: Sequence of `num_channels` numbers: what was subtracted from the
            pixels, in `[0, 1]`, to normalise them. `None` is ImageNet's mean,
            averaged if there are not three channels. Defaults to `None`.
        standard_deviation: Likewise: what they were then divided by. Give both
            or neither. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(..., num_channels)`, normalised.

    Output shape:
        `(...,)`, int32: the number of each pixel's colour.

    Raises:
        ValueError: If an argument is out of range, or if the images are
            integers, that is, not normalised, or have other channels.

    Example:

    >>> layer = keras_capi.layers.ColorPalette(num_colors=64)
    >>> images = np.random.rand(2, 8, 8, 3).astype("float32")
    >>> token_ids = layer(images)  # (2, 8, 8)
    >>> layer.restore(token_ids).shape  # (2, 8, 8, 3)

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf),
      section 3.1
    """

    def __init__(
        self,
        num_colors=512,
        num_channels=3,
        mean=None,
        standard_deviation=None,
        **kwargs,
    ):
        # Half precision would map pixels to other colours.
        super().__init__(autocast=False, **kwargs)
        check_positive_integer("num_colors", num_colors)
        check_positive_integer("num_channels", num_channels)
        self.num_colors = num_colors
        self.num_channels = num_channels
        self.mean, self.standard_deviation = channel_statistics(
            mean, standard_deviation, num_channels
        )
        grid = even_colors(num_colors, num_channels)
        self.colors = self.add_weight(
            name="colors",
            shape=grid.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(grid, dtype),
            dtype="float32",
            trainable=False,
        )
        self.built = True

    def assign_colors(self, colors):
        """Replaces the colours.

        Args:
            colors: Float array of shape `(num_colors, num_channels)`, from -1
                to 1.
        """
        # Copied, as on JAX the variable may be the array's own memory.
        colors = np.array(colors, "float32")
        if colors.shape != tuple(self.colors.shape):
            raise ValueError(
                "A palette must have the shape (num_colors, num_channels), "
                f"here {tuple(self.colors.shape)}. Received: {colors.shape}"
            )
        if not np.isfinite(colors).all():
            raise ValueError(
                "A palette must be of finite numbers. Received: NaN or infinity"
            )
        self.colors.assign(colors)

    def call(self, images):
        self._check_images(images)
        mean, deviation = self._normalization()
        pixels = ops.cast(images, "float32") * deviation + mean
        return nearest_colors(2.0 * pixels - 1.0, self.colors)

    def _check_images(self, images):
        check_normalized(images)
        if known_channels(images) != self.num_channels:
            raise ValueError(
                f"`images` must have {self.num_channels} channels, on the last "
                f"axis. Received: images.shape={tuple(images.shape)}"
            )

    def restore(self, token_ids):
        """Returns the normalised pixels of colour numbers.

        Args:
            token_ids: Integer tensor of any shape.

        Returns:
            Float32 tensor of that shape with one more axis, the channels.
        """
        check_value_range(
            "token_ids", token_ids, self.num_colors, "the numbers of colours"
        )
        mean, deviation = self._normalization()
        pixels = ops.take(self.colors, token_ids, axis=0)
        return ((pixels + 1.0) / 2.0 - mean) / deviation

    def _normalization(self):
        return (
            ops.convert_to_tensor(values, "float32")
            for values in (self.mean, self.standard_deviation)
        )

    def compute_output_spec(self, images):
        self._check_images(images)
        return keras.KerasTensor(images.shape[:-1], "int32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_colors": self.num_colors,
            "num_channels": self.num_channels,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
        }


def even_colors(num_colors, num_channels):
    """Returns colours on a grid that is as even as their number allows.

    Args:
        num_colors: Integer. With three channels, 512 means eight levels of
            each.
        num_channels: Integer.

    Returns:
        Float32 array of shape `(num_colors, num_channels)`, from -1 to 1.
    """
    levels = [1] * num_channels
    for factor in reversed(_prime_factors(num_colors)):
        levels[levels.index(min(levels))] *= factor
    axes = [np.linspace(-1.0, 1.0, count + 2)[1:-1] for count in levels]
    grid = np.meshgrid(*axes, indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, num_channels).astype("float32")


def _prime_factors(number):
    factors, factor = [], 2
    while number > 1:
        while number % factor == 0:
            factors.append(factor)
            number //= factor
        factor += 1
    return factors
