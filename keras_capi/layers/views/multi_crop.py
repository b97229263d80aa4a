import keras
import numpy as np
from keras import ops

from keras_capi.layers.views.color_augmentation import ColorAugmentation
from keras_capi.layers.views.random_resized_crop import RandomResizedCrop
from keras_capi.layers.views.random_view import RandomView
from keras_capi.validation import check_bounds
from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_normalized
from keras_capi.validation import check_number
from keras_capi.validation import is_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class MultiCrop(RandomView):
    """Makes two large views and several small ones of each image.

    Small views show parts of the image, and cost little. A network that
    predicts the whole from a part learns what belongs together.

    Each view has its own crop and colour changes, see
    `keras_capi.layers.RandomResizedCrop` and
    `keras_capi.layers.ColorAugmentation`. The two global views are augmented
    differently: the first is always blurred; the second rarely, but it is
    sometimes solarised. The defaults are those of DINO's code.

    Small views are cut from the images as they come in. Pass images about one
    and a half times as large as the global views to keep them sharp.

    Like masks, views are random in evaluation, too: the losses of equal views
    would mean nothing.

    Args:
        global_size: Integer, or tuple of height and width. Size of the global
            views. Should be divisible by the encoder's patch size. Defaults to
            `224`.
        local_size: Integer, or tuple of height and width. Size of the small
            views, likewise. Defaults to `96`.
        num_local_views: Integer, 0 or more. Number of small views. Defaults to
            `8`.
        global_scale: Tuple of two floats, `0 < low <= high <= 1`. Bounds of the
            area of global crops, as a fraction of the image. Defaults to `(0.4,
            1.0)`.
        local_scale: Tuple of two floats, likewise for small crops. Defaults to
            `(0.05, 0.4)`.
        aspect_ratio: Tuple of two floats, `0 < low <= high`. Bounds of the
            aspect ratio of all crops, width over height. Defaults to `(3 / 4, 4
            / 3)`.
        flip_rate: Float in `[0, 1]`. Share of the views that are mirrored.
            Defaults to `0.5`.
        jitter: Tuple of four floats: the strengths of brightness, contrast,
            saturation and hue. Defaults to `(0.4, 0.4, 0.2, 0.1)`.
        jitter_rate: Float in `[0, 1]`. Share of the views whose colours are
            jittered. Defaults to `0.8`.
        gray_rate: Float in `[0, 1]`. Share of grey views. Defaults to `0.2`.
        blur_rates: Tuple of three floats in `[0, 1]`. Shares of blurred views
            among the first global views, the second global views and the small
            views. Defaults to `(1.0, 0.1, 0.5)`.
        blur_radius: Tuple of two floats, `0 < low <= high`. Bounds of the
            standard deviation of the blur, in pixels. Defaults to `(0.1, 2.0)`.
        solarize_rates: Tuple of three floats in `[0, 1]`, likewise. Defaults to
            `(0.0, 0.2, 0.0)`.
        mean: Tuple of floats, one for each channel, or `None`. How images are
            normalised, see `keras_capi.layers.ColorAugmentation`. Defaults to
            `None`.
        std: Tuple of floats, likewise. Defaults to `None`.
        interpolation: String, see `keras_capi.layers.RandomResizedCrop`.
            Defaults to `"bicubic"`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(..., height, width, channels)`,
            normalised.
        numbers: Float32 tensor of shape `(..., numbers_per_image)`, uniform in
            `[0, 1)`, to use instead of drawing new ones. Defaults to `None`.

    Output shape:
        `{"global_views": (..., 2, *global_size, channels), "local_views":
        (..., num_local_views, *local_size, channels)}`, in the compute dtype;
        without `"local_views"` if there are none.

    Raises:
        ValueError: If an argument is out of range, or if the images are
            integers, that is, not normalised.

    Example:

    >>> images = keras.random.normal((4, 96, 96, 3))
    >>> multi_crop = keras_capi.layers.MultiCrop(64, 32, num_local_views=3)
    >>> views = multi_crop(images)
    >>> views["global_views"].shape  # (4, 2, 64, 64, 3)
    >>> views["local_views"].shape  # (4, 3, 32, 32, 3)

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), section 3.2 (multi-crop)
    - [DINO](https://arxiv.org/abs/2104.14294), section 3.2 and appendix
    """

    def __init__(
        self,
        global_size=224,
        local_size=96,
        num_local_views=8,
        global_scale=(0.4, 1.0),
        local_scale=(0.05, 0.4),
        aspect_ratio=(3 / 4, 4 / 3),
        flip_rate=0.5,
        jitter=(0.4, 0.4, 0.2, 0.1),
        jitter_rate=0.8,
        gray_rate=0.2,
        blur_rates=(1.0, 0.1, 0.5),
        blur_radius=(0.1, 2.0),
        solarize_rates=(0.0, 0.2, 0.0),
        mean=None,
        std=None,
        interpolation="bicubic",
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        check_non_negative_integer("num_local_views", num_local_views)
        self.global_size = _check_size("global_size", global_size)
        self.local_size = _check_size("local_size", local_size)
        self.num_local_views = num_local_views
        self.interpolation = interpolation
        self.global_scale = check_bounds("global_scale", global_scale, 1.0)
        self.local_scale = check_bounds("local_scale", local_scale, 1.0)
        self.aspect_ratio = check_bounds("aspect_ratio", aspect_ratio)
        self.flip_rate = flip_rate
        self.jitter = _check_each("jitter", jitter, 4, check_non_negative)
        self.jitter_rate = jitter_rate
        self.gray_rate = gray_rate
        self.blur_rates = _check_each(
            "blur_rates", blur_rates, 3, check_number, "[0, 1]"
        )
        self.blur_radius = check_bounds("blur_radius", blur_radius)
        self.solarize_rates = _check_each(
            "solarize_rates", solarize_rates, 3, check_number, "[0, 1]"
        )
        self.global_crop = self._make_crop(
            self.global_size, self.global_scale, 2
        )
        self.local_crop = None
        if num_local_views:
            self.local_crop = self._make_crop(
                self.local_size, self.local_scale, num_local_views
            )
        (
            self.first_global_colors,
            self.second_global_colors,
            self.local_colors,
        ) = (
            ColorAugmentation(
                *self.jitter,
                jitter_rate,
                gray_rate,
                blur_rate,
                self.blur_radius,
                solarize_rate,
                mean,
                std,
                dtype="float32",
            )
            for blur_rate, solarize_rate in zip(
                self.blur_rates, self.solarize_rates, strict=True
            )
        )
        self.mean, self.std = self.local_colors.mean, self.local_colors.std

    def _make_crop(self, size, scale, num_views):
        return RandomResizedCrop(
            *size,
            scale,
            self.aspect_ratio,
            self.flip_rate,
            num_views,
            self.interpolation,
            dtype="float32",
        )

    @property
    def numbers_per_image(self):
        return sum(self._counts)

    @property
    def _counts(self):
        """The count of random numbers of each part, in `transform`'s order."""
        colors = self.local_colors.numbers_per_image
        counts = [self.global_crop.numbers_per_image, colors, colors]
        if self.local_crop is not None:
            counts.append(self.local_crop.numbers_per_image)
            counts.append(self.num_local_views * colors)
        return counts

    def call(self, images, numbers=None):
        check_normalized(images)
        return super().call(images, numbers)

    def transform(self, images, numbers):
        ends = np.cumsum(self._counts)[:-1].tolist()
        numbers = iter(ops.split(numbers, ends, axis=1))

        def apply(part, images):
            return part(images, training=True, numbers=next(numbers))

        crops = apply(self.global_crop, images)
        global_views = [
            apply(self.first_global_colors, crops[:, 0]),
            apply(self.second_global_colors, crops[:, 1]),
        ]
        views = {"global_views": ops.stack(global_views, axis=1)}
        if self.local_crop is not None:
            crops = apply(self.local_crop, images)
            views["local_views"] = apply(self.local_colors, crops)
        return views

    def compute_output_spec(self, images, numbers=None):
        check_normalized(images)

        def spec(crop):
            shape = crop.compute_output_shape(images.shape)
            return keras.KerasTensor(shape, self.compute_dtype)

        views = {"global_views": spec(self.global_crop)}
        if self.local_crop is not None:
            views["local_views"] = spec(self.local_crop)
        return views

    def get_config(self):
        return {
            **super().get_config(),
            "global_size": self.global_size,
            "local_size": self.local_size,
            "num_local_views": self.num_local_views,
            "global_scale": self.global_scale,
            "local_scale": self.local_scale,
            "aspect_ratio": self.aspect_ratio,
            "flip_rate": self.flip_rate,
            "jitter": self.jitter,
            "jitter_rate": self.jitter_rate,
            "gray_rate": self.gray_rate,
            "blur_rates": self.blur_rates,
            "blur_radius": self.blur_radius,
            "solarize_rates": self.solarize_rates,
            "mean": self.mean,
            "std": self.std,
            "interpolation": self.interpolation,
        }


def _check_size(name, value):
    """Returns height and width, or raises."""
    size = (value, value) if is_integer(value) else value
    if not isinstance(size, tuple | list) or len(size) != 2:
        size = ()
    if not size or not all(is_integer(n) and n > 0 for n in size):
        raise ValueError(
            f"`{name}` must be a positive integer, or height and width. "
            f"Received: {name}={value!r}"
        )
    return tuple(size)


def _check_each(name, values, count, *check):
    """Returns a sequence of `count` values as a tuple, or raises."""
    values = check_each(name, values, *check)
    if len(values) != count:
        raise ValueError(
            f"`{name}` must have {count} values. Received: {name}={values!r}"
        )
    return values
