import math

import keras

from keras_capi.layers.random_state import RandomState
from keras_capi.layers.views.region_corruption import RegionCorruption
from keras_capi.ops.masks.region_masks import count_region_numbers
from keras_capi.ops.masks.region_masks import first_of_size
from keras_capi.ops.masks.region_masks import region_masks
from keras_capi.ops.masks.region_masks import size_bounds
from keras_capi.validation import check_number
from keras_capi.validation import check_seed

# Largest number of candidate patterns. Small images need many, as few fit.
MOST_PATTERNS = 512
FEWEST_PATTERNS = 32
PIXELS_OF_ALL = 2**21


@keras.saving.register_keras_serializable(package="keras_capi")
class RandomRegions(RegionCorruption):
    """Fills blobs all over images: the context encoder's random regions.

    Pixels are filled where a smooth random pattern is below `threshold`. The
    filled share of the image is to be within `tolerance` of `threshold`. With
    regions of any shape the network cannot get used to a fixed border, so that
    features are better than with `keras_capi.layers.CenterRegion`. The whole
    image is predicted.

    The authors cut windows from one pattern of 10,000 x 10,000 pixels until one
    fits. Here each batch has its own pattern, of the size of the images. So
    many candidates are drawn at once that practically always one of them fits;
    otherwise the closest is taken.

    Args:
        cell_size: Float. Pixels for each random number of the pattern: about
            the size of a blob. Defaults to `50 / 3`.
        threshold: Float in (0, 1). Share of the image to fill. Defaults to
            `0.25`.
        tolerance: Float in (0, 1). How far the share may be off. Defaults to
            `0.05`.
        mean: Tuple of floats, one for each channel: what was subtracted from
            pixels in `[0, 1]`. `None` is ImageNet's mean, averaged if there are
            not three channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width known.
        grid_size: Not used; other corruptions need it.
        region: Boolean tensor of shape `(batch or 1, height, width)`: which
            pixels to fill instead of random ones. Defaults to `None`.

    Output shape:
        `{"corrupted_images": ..., "mask": ...}`, both of the shape of `images`:
        the first in the compute dtype, the second Boolean, `True` where filled.

    Raises:
        ValueError: If an argument is out of range, or if images are integers,
            or too small for the tolerance.

    Example:

    >>> images = keras.random.normal((4, 64, 96, 3))
    >>> regions = keras_capi.layers.RandomRegions()
    >>> context = regions(images)["corrupted_images"]

    Reference:

    - [Context encoders](https://arxiv.org/abs/1604.07379), section 3.3
    """

    def __init__(
        self,
        cell_size=50 / 3,
        threshold=0.25,
        tolerance=0.05,
        mean=None,
        std=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(mean, std, **kwargs)
        check_number("cell_size", cell_size, "[1, inf)")
        check_number("threshold", threshold, "(0, 1)")
        check_number("tolerance", tolerance, "(0, 1)")
        check_seed("seed", seed)
        self.cell_size = cell_size
        self.threshold = threshold
        self.tolerance = tolerance
        self.seed = seed
        self.random_state = RandomState(seed)

    def judged_window(self, image_size):
        return 0, 0, *image_size

    def mask_sizes(self, image_size):
        """Returns the smallest and largest number of pixels to fill.

        Args:
            image_size: Tuple of two integers, height and width.

        Returns:
            Tuple of two integers.
        """
        return size_bounds(
            math.prod(image_size),
            self.threshold - self.tolerance,
            self.threshold + self.tolerance,
        )

    def draw_mask(self, image_size):
        smallest, largest = self.mask_sizes(image_size)
        if smallest > largest:
            raise ValueError(
                "`tolerance` must allow a number of filled pixels. Received: "
                f"threshold={self.threshold}, tolerance={self.tolerance}, "
                f"images of {image_size[0]} x {image_size[1]} pixels"
            )
        return first_of_size(self.draw_masks(image_size), smallest, largest)

    def draw_masks(self, image_size):
        """Returns candidate masks, of any number of pixels.

        Args:
            image_size: Tuple of two integers, height and width.

        Returns:
            Boolean tensor of shape `(count, height, width)`.
        """
        count = max(PIXELS_OF_ALL // math.prod(image_size), FEWEST_PATTERNS)
        count = min(count, MOST_PATTERNS)
        numbers = count_region_numbers(image_size, self.cell_size)
        # All images of a batch have the same regions.
        uniform = self.random_state.uniform((count, numbers), batch_axis=None)
        return region_masks(uniform, image_size, self.cell_size, self.threshold)

    def get_config(self):
        return {
            **super().get_config(),
            "cell_size": self.cell_size,
            "threshold": self.threshold,
            "tolerance": self.tolerance,
            "seed": self.seed,
        }
