import keras
from keras import ops

from keras_capi.layers.norms.imagenet_normalization import MEAN
from keras_capi.layers.views.normalization import check_normalization
from keras_capi.layers.views.normalization import normalization_tensors
from keras_capi.layers.views.random_view import RandomView
from keras_capi.layers.views.random_view import check_images
from keras_capi.ops.colors import changes
from keras_capi.ops.images.blur import gaussian_blur
from keras_capi.validation import check_bounds
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_normalized
from keras_capi.validation import check_number
from keras_capi.validation import known_channels

# Random numbers of an image after those of the jitter: whether it becomes grey,
# whether it is blurred and how much, and whether it is solarised.
NUMBERS_AFTER_JITTER = 4


@keras.saving.register_keras_serializable(package="keras_capi")
class ColorAugmentation(RandomView):
    """Randomly jitters colours, turns to grey, blurs and solarises images.

    Two parts of an image have similar colours. A network that learns to match
    the views of an image could rely on these alone, unless the colours of each
    view are changed. Every image draws its own changes, in the order of DINO's
    code: jitter (brightness, contrast, saturation and hue, in random order),
    grey, blur, solarisation.

    Images are normalised, as everywhere in the package. The layer undoes this
    with `mean` and `std`, changes the pixels, clips them to `[0, 1]`, and
    normalises them again. With `training=False` images stay as they are.

    **Images that are not RGB.** Images of another number of channels are only
    blurred, unless `mean` and `std` are given. Then they are changed like
    others, except for the hue; grey is the mean of their channels.

    Always computes in float32.

    Args:
        brightness: Float, at least 0. Pixels are multiplied by a factor that
            is uniform in `1 +- brightness`. Defaults to `0.4`.
        contrast: Float, at least 0. Likewise, for the distance from the mean
            grey of the image. Defaults to `0.4`.
        saturation: Float, at least 0. Likewise, for the distance from the grey
            of the pixel. Defaults to `0.2`.
        hue: Float in `[0, 0.5]`. The hue is shifted by up to this share of the
            colour circle, either way. Defaults to `0.1`.
        jitter_rate: Float in `[0, 1]`. Share of the images that get these four
            changes. Defaults to `0.8`.
        gray_rate: Float in `[0, 1]`. Share of the images that become grey.
            Defaults to `0.2`.
        blur_rate: Float in `[0, 1]`. Share of the images that are blurred.
            Defaults to `0.5`.
        blur_radius: Tuple of two floats, `0 < low <= high`. Bounds of the
            standard deviation of the blur, in pixels. Defaults to `(0.1, 2.0)`.
        solarize_rate: Float in `[0, 1]`. Share of the images whose bright
            values are inverted. Defaults to `0.0`.
        mean: Tuple of floats, one for each channel, or `None`. What was
            subtracted from pixels in `[0, 1]`. `None` is ImageNet's mean, for
            images of 3 channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(..., height, width, channels)`.
        training: Boolean. Whether to change anything. Defaults to `True` when
            the layer is called alone.
        numbers: Float32 tensor of shape `(..., numbers_per_image)`, uniform in
            `[0, 1)`, to use instead of drawing new ones. Defaults to `None`.

    Output shape:
        That of `images`. The dtype is the compute dtype of the layer.

    Raises:
        ValueError: If an argument is out of range, if `mean` and `std` do not
            have one value for each channel, or if the images are integers, that
            is, not normalised.

    Example:

    >>> images = keras.random.normal((8, 96, 96, 3))
    >>> augment = keras_capi.layers.ColorAugmentation(solarize_rate=0.2)
    >>> augment(images).shape  # (8, 96, 96, 3)

    Reference:

    - [BYOL](https://arxiv.org/abs/2006.07733), appendix B (image augmentations)
    - [DINO](https://arxiv.org/abs/2104.14294), section 3.2
    - [torchvision.transforms.ColorJitter](https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html),
      whose formulas these are
    """

    # Keras's layers compute something else: `RandomBrightness` adds,
    # `RandomContrast` blends each channel with its own mean, `RandomSaturation`
    # scales the saturation of HSV, `RandomColorJitter` has a fixed order,
    # `RandomGaussianBlur` one radius for a batch, and `Solarization` no fixed
    # threshold. `RandomHue` and `RandomGrayscale` would fit, but none of these
    # saves the state of its generator, so that a resumed training would see
    # other views. Their operations in `keras.ops.image` are used.

    def __init__(
        self,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        jitter_rate=0.8,
        gray_rate=0.2,
        blur_rate=0.5,
        blur_radius=(0.1, 2.0),
        solarize_rate=0.0,
        mean=None,
        std=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        check_non_negative("brightness", brightness)
        check_non_negative("contrast", contrast)
        check_non_negative("saturation", saturation)
        check_number("hue", hue, "[0, 0.5]")
        check_number("jitter_rate", jitter_rate, "[0, 1]")
        check_number("gray_rate", gray_rate, "[0, 1]")
        check_number("blur_rate", blur_rate, "[0, 1]")
        check_number("solarize_rate", solarize_rate, "[0, 1]")
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.jitter_rate = jitter_rate
        self.gray_rate = gray_rate
        self.blur_rate = blur_rate
        self.blur_radius = check_bounds("blur_radius", blur_radius)
        self.solarize_rate = solarize_rate
        self.mean, self.std = check_normalization(mean, std)

    @property
    def numbers_per_image(self):
        return changes.NUMBERS_PER_JITTER + NUMBERS_AFTER_JITTER

    def call(self, images, training=True, numbers=None):
        check_normalized(images)
        if training:
            return super().call(images, numbers)
        return self.map_images(lambda images: images, images)

    def transform(self, images, numbers):
        # Not only blurred, in case they are RGB.
        normalization = self._normalization(known_channels(images))
        # Channels first: each is then a matrix, to multiply with those of the
        # blur.
        images = ops.transpose(images, (0, 3, 1, 2))
        jitter, rest = ops.split(numbers, [changes.NUMBERS_PER_JITTER], axis=1)
        is_gray, is_blurred, is_solarized = (
            rest[:, index] < rate
            for index, rate in (
                (0, self.gray_rate),
                (1, self.blur_rate),
                (3, self.solarize_rate),
            )
        )
        if normalization is not None:
            mean, std = normalization
            images = ops.clip(images * std + mean, 0.0, 1.0)
            images = self._change_colors(images, jitter, is_gray)
        if self.blur_rate:
            low, high = self.blur_radius
            radii = low + rest[:, 2] * (high - low)
            radii = ops.where(is_blurred, radii, 0.0)
            images = gaussian_blur(images, radii)
        if normalization is not None:
            if self.solarize_rate:
                images = changes.solarize(images, is_solarized)
            images = (images - mean) / std
        return ops.transpose(images, (0, 2, 3, 1))

    def _change_colors(self, images, numbers, is_gray):
        if self.jitter_rate:
            shares, shifts = changes.random_jitter(
                numbers,
                self.brightness,
                self.contrast,
                self.saturation,
                self.hue,
                self.jitter_rate,
            )
            images = changes.jitter(images, shares, shifts)
        if self.gray_rate:
            is_gray = ops.cast(is_gray, "float32")
            images = changes.blend_with_gray(
                images, 1.0 - is_gray, is_gray, ops.zeros_like(is_gray)
            )
        return images

    def _normalization(self, num_channels):
        if self.mean is None and num_channels != len(MEAN):
            return None
        return tuple(
            values[:, None, None]
            for values in normalization_tensors(
                self.mean, self.std, num_channels
            )
        )

    def compute_output_shape(self, images_shape):
        check_images(images_shape)
        return images_shape

    def compute_output_spec(self, images, training=True, numbers=None):
        check_normalized(images)
        shape = self.compute_output_shape(images.shape)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "hue": self.hue,
            "jitter_rate": self.jitter_rate,
            "gray_rate": self.gray_rate,
            "blur_rate": self.blur_rate,
            "blur_radius": self.blur_radius,
            "solarize_rate": self.solarize_rate,
            "mean": self.mean,
            "std": self.std,
        }
