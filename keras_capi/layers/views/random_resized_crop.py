import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.ops import resampling
from keras_capi.validation import check_bounds
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class RandomResizedCrop(keras.layers.Layer):
    """Crops a random part of each image and resizes it bicubically.

    With a horizontal flip (`keras.layers.RandomFlip`) it is the only
    augmentation that CAPI needs. Every image of a batch gets a window of its
    own, sampled and resampled as torchvision does: a uniform fraction of the
    area, a log-uniform aspect ratio, and antialiasing where the window shrinks.

    At inference the layer resizes the largest centred part of the image that
    has the aspect ratio of the output, like `keras.layers.RandomCrop`.

    Values may have any range, and keep it but for the small overshoots of
    bicubic resizing at sharp edges, which are not clipped (PIL clips 8-bit
    images). Computes in float32 whatever the compute dtype.

    It runs on the accelerator inside a model, or ahead of one in a pipeline.
    Inside `tf.data.Dataset.map` it needs the TensorFlow backend.

    Args:
        height: Integer. Height of the output.
        width: Integer. Width of the output.
        scale: Tuple of two floats, `0 < low <= high <= 1`. Bounds of the area
            of the window, as a fraction of the image. Defaults to `(0.6, 1.0)`.
        aspect_ratio: Tuple of two floats, `0 < low <= high`. Bounds of width
            over height of the window. Defaults to `(3 / 4, 4 / 3)`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float or integer tensor of shape
            `(batch, height, width, channels)` or `(height, width, channels)`,
            with any number of channels.
        training: Boolean. Whether to crop at random. Defaults to `True` when
            the layer is called alone.

    Output shape:
        `(batch, self.height, self.width, channels)`, or without `batch` for a
        single image. The dtype is the compute dtype of the layer: give it
        `dtype="float32"` to keep exact pixels under mixed precision.

    Raises:
        ValueError: If an argument is out of its bounds, or if the images have
            another rank.

    Example:

    >>> images = np.random.randint(0, 256, (8, 96, 128, 3), "uint8")
    >>> crop = keras_capi.layers.RandomResizedCrop(64, 64, seed=0)
    >>> crop(images).shape  # (8, 64, 64, 3)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), implementation details
    - [torchvision.transforms.RandomResizedCrop](https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomResizedCrop.html),
      whose sampling this is
    """

    def __init__(
        self,
        height,
        width,
        scale=(0.6, 1.0),
        aspect_ratio=(3 / 4, 4 / 3),
        seed=None,
        **kwargs,
    ):
        # Without autocast: half precision would round pixels and positions.
        super().__init__(autocast=False, **kwargs)
        check_positive_integer("height", height)
        check_positive_integer("width", width)
        check_seed("seed", seed)
        self.height = height
        self.width = width
        self.scale = check_bounds("scale", scale, largest=1.0)
        self.aspect_ratio = check_bounds("aspect_ratio", aspect_ratio)
        self.seed = seed
        self.random_state = RandomState(seed)
        self.built = True

    def random_windows(self, batch_size, image_size):
        """Draws the windows that `call` crops, all in one draw.

        Args:
            batch_size: Integer or integer scalar tensor.
            image_size: Height and width, integers or scalar tensors.

        Returns:
            Four int32 tensors of shape `(batch,)`: tops, lefts, heights,
            widths.
        """
        uniform = self.random_state.uniform(
            (batch_size, resampling.NUMBERS_PER_WINDOW)
        )
        return resampling.random_windows(
            uniform, image_size, self.scale, self.aspect_ratio
        )

    def central_windows(self, batch_size, image_size):
        """Like `random_windows`, but the windows used at inference."""
        aspect_ratio = self.width / self.height
        window = resampling.central_window(
            image_size, (aspect_ratio, aspect_ratio)
        )
        return tuple(ops.broadcast_to(x, (batch_size,)) for x in window)

    def call(self, images, training=True):
        _check_rank(images.shape)
        is_single = len(images.shape) == 3
        if is_single:
            images = images[None]
        batch_size, *image_size, _ = ops.shape(images)
        if training:
            windows = self.random_windows(batch_size, image_size)
        else:
            windows = self.central_windows(batch_size, image_size)
        images = resampling.resample_windows(
            ops.cast(images, "float32"), *windows, (self.height, self.width)
        )
        images = ops.cast(images, self.compute_dtype)
        return images[0] if is_single else images

    def compute_output_shape(self, images_shape):
        _check_rank(images_shape)
        *batch_size, _, _, num_channels = images_shape
        return (*batch_size, self.height, self.width, num_channels)

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "aspect_ratio": self.aspect_ratio,
            "seed": self.seed,
        }


def _check_rank(shape):
    if len(shape) not in (3, 4):
        raise ValueError(
            "`images` must have shape (batch, height, width, channels) or "
            f"(height, width, channels). Received: images.shape={tuple(shape)}"
        )
