import keras
from keras import ops

from keras_capi.layers.views.random_view import RandomView
from keras_capi.layers.views.random_view import check_images
from keras_capi.ops.images import resampling
from keras_capi.validation import check_bounds
from keras_capi.validation import check_choice
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class RandomResizedCrop(RandomView):
    """Crops a random part of each image and resizes it.

    Together with flips it is the only augmentation that CAPI and MAE need.
    Every image of a batch gets its own crop, sampled and resized as in
    torchvision: a uniform share of the area, a log-uniform aspect ratio, and
    antialiasing where the crop shrinks. MAE published `scale=(0.2, 1.0),
    flip_rate=0.5`.

    At inference the layer resizes the largest centred part of the image that
    has the aspect ratio of the output, like `keras.layers.RandomCrop`.

    Values may have any range, and keep it, except for small overshoots of
    bicubic resizing at sharp edges. These are not clipped (PIL clips 8-bit
    images). Always computes in float32.

    The layer runs on the accelerator inside a model, or before it in a
    pipeline. Inside `tf.data.Dataset.map` it needs the TensorFlow backend.

    Args:
        height: Integer. Height of the output.
        width: Integer. Width of the output.
        scale: Tuple of two floats, `0 < low <= high <= 1`. Bounds of the area
            of the crop, as a fraction of the image. Defaults to `(0.6, 1.0)`.
        aspect_ratio: Tuple of two floats, `0 < low <= high`. Bounds of the
            aspect ratio of the crop, width over height. Defaults to `(3 / 4, 4
            / 3)`.
        flip_rate: Float in `[0, 1]`. Share of the crops that are mirrored left
            to right. Defaults to `0.0`.
        num_views: Integer or `None`. Number of crops of each image, along an
            axis of their own. `None` is one crop, without that axis. Defaults
            to `None`.
        interpolation: String, `"bicubic"` or `"bilinear"` (SwAV). Defaults to
            `"bicubic"`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float or integer tensor of shape
            `(..., height, width, channels)`, with any number of channels.
        training: Boolean. Whether to crop at random. Defaults to `True` when
            the layer is called alone.
        numbers: Float32 tensor of shape `(..., numbers_per_image)`, uniform in
            `[0, 1)`, to use instead of drawing new ones. Defaults to `None`.

    Output shape:
        `(..., self.height, self.width, channels)`, or with `num_views`,
        `(..., num_views, self.height, self.width, channels)`. The dtype is the
        compute dtype of the layer: give it `dtype="float32"` to keep exact
        pixels under mixed precision.

    Raises:
        ValueError: If an argument is out of range, or if the images have a rank
            below 3.

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
        flip_rate=0.0,
        num_views=None,
        interpolation="bicubic",
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        check_positive_integer("height", height)
        check_positive_integer("width", width)
        check_number("flip_rate", flip_rate, "[0, 1]")
        check_positive_integer("num_views", num_views, or_none=True)
        self.height = height
        self.width = width
        self.scale = check_bounds("scale", scale, largest=1.0)
        self.aspect_ratio = check_bounds("aspect_ratio", aspect_ratio)
        self.flip_rate = flip_rate
        self.num_views = num_views
        check_choice("interpolation", interpolation, resampling.KERNELS)
        self.interpolation = interpolation

    @property
    def numbers_per_image(self):
        return (self.num_views or 1) * self._numbers_per_view

    @property
    def _numbers_per_view(self):
        return resampling.NUMBERS_PER_WINDOW + (self.flip_rate > 0)

    def random_windows(self, batch_size, image_size):
        """Draws the crop windows of a batch, all in one draw.

        Args:
            batch_size: Integer or integer scalar tensor.
            image_size: Height and width, integers or scalar tensors.

        Returns:
            Four int32 tensors of shape `(batch,)`: tops, lefts, heights,
            widths. With `num_views`, all those of the first image come first.
        """
        numbers = self.draw(batch_size)
        windows, _ = self._windows_and_flips(numbers, image_size)
        return windows

    def _windows_and_flips(self, numbers, image_size):
        numbers = ops.reshape(numbers, (-1, self._numbers_per_view))
        windows = resampling.random_windows(
            numbers[:, : resampling.NUMBERS_PER_WINDOW],
            image_size,
            self.scale,
            self.aspect_ratio,
        )
        flips = numbers[:, -1] < self.flip_rate if self.flip_rate else None
        return windows, flips

    def central_windows(self, batch_size, image_size):
        """Returns the windows used at inference, as `random_windows` does."""
        aspect_ratio = self.width / self.height
        window = resampling.central_window(
            image_size, (aspect_ratio, aspect_ratio)
        )
        count = batch_size * (self.num_views or 1)
        return tuple(ops.broadcast_to(x, (count,)) for x in window)

    def call(self, images, training=True, numbers=None):
        if training:
            return super().call(images, numbers)
        return self.map_images(self._crop_center, images)

    def transform(self, images, numbers):
        windows, flips = self._windows_and_flips(
            numbers, ops.shape(images)[1:3]
        )
        return self._crop(images, windows, flips)

    def _crop_center(self, images):
        batch_size, *image_size, _ = ops.shape(images)
        return self._crop(images, self.central_windows(batch_size, image_size))

    def _crop(self, images, windows, flips=None):
        crops = resampling.resample_windows(
            images,
            *windows,
            (self.height, self.width),
            flips,
            self.interpolation,
            self.num_views or 1,
        )
        if self.num_views is None:
            return crops
        return ops.reshape(crops, (-1, self.num_views, *ops.shape(crops)[1:]))

    def compute_output_shape(self, images_shape):
        check_images(images_shape)
        *leading, _, _, num_channels = images_shape
        views = () if self.num_views is None else (self.num_views,)
        return (*leading, *views, self.height, self.width, num_channels)

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "aspect_ratio": self.aspect_ratio,
            "flip_rate": self.flip_rate,
            "num_views": self.num_views,
            "interpolation": self.interpolation,
        }
