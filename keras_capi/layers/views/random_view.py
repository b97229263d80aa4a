import math

import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.validation import check_normalized
from keras_capi.validation import check_seed
from keras_capi.validation import known_channels
from keras_capi.validation import known_shape


class RandomView(keras.layers.Layer):
    """Base class of the layers that make random views of images.

    In a subclass, `numbers_per_image` is how many uniform random numbers define
    the view of one image, and `transform` turns images and numbers into views.
    All numbers are drawn at once, or passed in: `keras_capi.data.ViewBatches`,
    whose threads make batches in any order, derives the numbers of a batch from
    its place in the training.

    Args:
        seed: Integer or `None`. Defaults to `None`.
    """

    def __init__(self, seed=None, **kwargs):
        # Rematerialisation would draw different views in the backward pass, and
        # half precision would round pixels and positions.
        with keras.RematScope(mode=None):
            super().__init__(autocast=False, **kwargs)
        check_seed("seed", seed)
        self.seed = seed
        self.random_state = RandomState(seed)
        self.built = True

    @property
    def numbers_per_image(self):
        raise NotImplementedError

    def transform(self, images, numbers):
        """Makes the views that the random numbers define.

        Args:
            images: Float32 tensor of shape `(batch, height, width, channels)`.
            numbers: Float32 tensor of shape `(batch, numbers_per_image)`,
                uniform in `[0, 1)`.

        Returns:
            Float32 tensor, or a dictionary of such.
        """
        raise NotImplementedError

    def draw(self, batch_size):
        """Draws the random numbers that `transform` takes.

        Args:
            batch_size: Integer or integer scalar tensor.

        Returns:
            Float32 tensor of shape `(batch_size, numbers_per_image)`.
        """
        return self.random_state.uniform((batch_size, self.numbers_per_image))

    def call(self, images, numbers=None):
        if numbers is not None:
            self._check_numbers(numbers, images)

        def transform(images):
            if numbers is None:
                drawn = self.draw(ops.shape(images)[0])
            else:
                drawn = ops.reshape(numbers, (-1, self.numbers_per_image))
            return self.transform(images, drawn)

        return self.map_images(transform, images)

    def _check_numbers(self, numbers, images):
        shape = known_shape("numbers", numbers)
        leading = known_shape("images", images)[:-3]
        count = self.numbers_per_image
        is_right = bool(shape) and (shape[-1] is None or not shape[-1] % count)
        if is_right and None not in (*shape, *leading):
            is_right = math.prod(shape) == math.prod(leading) * count
        if not is_right:
            raise ValueError(
                "`numbers` must have the leading axes of the images and a last "
                f"one of `numbers_per_image`, here {count}. Received: "
                f"numbers.shape={shape}, images.shape={tuple(images.shape)}"
            )

    def map_images(self, function, images):
        """Applies a function of batches to images with any leading axes.

        Args:
            function: Function of a float32 tensor of shape `(batch, height,
                width, channels)` that returns one of shape `(batch, ...)`, or a
                dictionary of such.
            images: Tensor of shape `(..., height, width, channels)`.

        Returns:
            What `function` returns, with the leading axes of `images` and in
            the compute dtype.
        """
        check_images(known_shape("images", images))
        shape = ops.shape(images)
        images = ops.reshape(ops.cast(images, "float32"), (-1, *shape[-3:]))

        def restore(views):
            views = ops.reshape(views, (*shape[:-3], *ops.shape(views)[1:]))
            return ops.cast(views, self.compute_dtype)

        return keras.tree.map_structure(restore, function(images))

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def check_batch(images):
    """Raises a `ValueError` unless images are a batch, and normalised.

    The number of channels must be known.
    """
    check_normalized(images)
    if len(known_shape("images", images)) != 4:
        raise ValueError(
            "`images` must have rank 4: (batch, height, width, channels). "
            f"Received: images.shape={tuple(images.shape)}"
        )
    known_channels(images)


def check_images(shape):
    """Raises a `ValueError` unless a shape is that of images."""
    if len(shape) < 3:
        raise ValueError(
            "`images` must have shape (..., height, width, channels). "
            f"Received: images.shape={tuple(shape)}"
        )
