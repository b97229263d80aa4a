import keras
from keras import ops

from keras_capi.layers.views.normalization import check_normalization
from keras_capi.layers.views.normalization import for_channels
from keras_capi.layers.views.normalization import normalization_tensors
from keras_capi.layers.views.random_view import check_batch
from keras_capi.ops.known_axes import may_match

# As published, for red, green and blue. It is close to ImageNet's mean with the
# first and last value swapped.
FILL = tuple(value / 255 for value in (117, 104, 123))


class RegionCorruption(keras.layers.Layer):
    """Base class of layers that fill a region of images with one colour.

    In a subclass, `draw_mask` returns which pixels are filled, and
    `judged_window` which part of the image is predicted. All images of a batch
    share one region, as published.

    Images are normalised, as everywhere in the package. `mean` and `std` tell
    how, and so define the colour of the filling.

    Args:
        mean: Tuple of floats, one for each channel: what was subtracted from
            pixels in `[0, 1]`. `None` is ImageNet's mean, averaged if there are
            not three channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.
    """

    def __init__(self, mean=None, std=None, **kwargs):
        # Rematerialisation would draw different regions in the backward pass,
        # and half precision would round pixels.
        with keras.RematScope(mode=None):
            super().__init__(autocast=False, **kwargs)
        self.mean, self.std = check_normalization(mean, std)
        self.built = True

    def draw_mask(self, image_size):
        """Returns which pixels are filled in images of a size.

        Args:
            image_size: Tuple of two integers, height and width.

        Returns:
            Boolean tensor or array of that shape.
        """
        raise NotImplementedError

    def judged_window(self, image_size):
        """Returns the part that is predicted in images of a size.

        Args:
            image_size: Tuple of two integers, height and width.

        Returns:
            Tuple of four integers: top, left, height and width.
        """
        raise NotImplementedError

    def call(self, images, grid_size=None, region=None):
        check_batch(images)
        image_size = _known_size(images)
        if region is None:
            region = self.draw_mask(image_size)
        _check_region(region, images)
        shape, num_channels = ops.shape(images), images.shape[-1]
        mask = ops.reshape(ops.cast(region, "bool"), (-1, *image_size, 1))
        mask = ops.broadcast_to(mask, shape)
        mean, std = normalization_tensors(self.mean, self.std, num_channels)
        fill = for_channels(FILL, num_channels)
        fill = (ops.convert_to_tensor(fill, "float32") - mean) / std
        images = ops.cast(images, "float32")
        return {
            "corrupted_images": ops.cast(
                ops.where(mask, fill, images), self.compute_dtype
            ),
            "mask": mask,
        }

    def to_colors(self, images):
        """Turns normalised images into colours from -1, black, to 1.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Float32 tensor of that shape.
        """
        mean, std = normalization_tensors(self.mean, self.std, images.shape[-1])
        return 2.0 * (ops.cast(images, "float32") * std + mean) - 1.0

    def from_colors(self, colors):
        """Normalises colours from -1 to 1, the inverse of `to_colors`.

        Args:
            colors: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Float32 tensor of that shape.
        """
        mean, std = normalization_tensors(self.mean, self.std, colors.shape[-1])
        return ((ops.cast(colors, "float32") + 1.0) / 2.0 - mean) / std

    def compute_output_spec(self, images, grid_size=None, region=None):
        check_batch(images)
        normalization_tensors(self.mean, self.std, images.shape[-1])
        return {
            "corrupted_images": keras.KerasTensor(
                images.shape, self.compute_dtype
            ),
            "mask": keras.KerasTensor(images.shape, "bool"),
        }

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}


def _check_region(region, images):
    shape = tuple(region.shape)
    size = images.shape[1:3]
    if len(shape) not in (2, 3) or not may_match(shape[-2:], size):
        raise ValueError(
            "`region` must have the shape (batch or 1, height, width), with "
            f"the size of the images. Received: region.shape={shape}, "
            f"images.shape={tuple(images.shape)}"
        )


def _known_size(images):
    size = tuple(images.shape[1:3])
    if None in size:
        raise ValueError(
            "Height and width of `images` must be known. Received: "
            f"images.shape={tuple(images.shape)}"
        )
    return size
