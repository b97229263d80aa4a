import keras
import numpy as np

from keras_capi.layers.views.region_corruption import RegionCorruption
from keras_capi.validation import check_non_negative_integer

# Published for images of 128 pixels.
OVERLAP = 4
# At most one part in so many of the window's shorter side stays visible.
LARGEST_SHARE = 8


@keras.saving.register_keras_serializable(package="keras_capi")
class CenterRegion(RegionCorruption):
    """Fills the middle of images: the context encoder's region.

    The model predicts the middle half of both axes, a quarter of the image. The
    filled region is smaller by `overlap` on each side, so that the border of
    the predicted region stays visible; there the prediction has to match the
    surrounding image.

    Args:
        overlap: Integer. Width of the border in pixels. `None` is 4, as
            published, but at most an eighth of the shorter side of the
            predicted region. Defaults to `None`.
        mean: Tuple of floats, one for each channel: what was subtracted from
            pixels in `[0, 1]`. `None` is ImageNet's mean, averaged if there are
            not three channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width known.
        grid_size: Not used; other corruptions need it.
        region: Boolean tensor of shape `(batch or 1, height, width)`: which
            pixels to fill instead of the middle. Defaults to `None`.

    Output shape:
        `{"corrupted_images": ..., "mask": ...}`, both of the shape of `images`:
        the first in the compute dtype, the second Boolean, `True` where filled.

    Raises:
        ValueError: If an argument is out of range, or if images are integers or
            too small for the overlap.

    Example:

    >>> images = keras.random.normal((4, 64, 96, 3))
    >>> region = keras_capi.layers.CenterRegion()
    >>> context = region(images)["corrupted_images"]
    >>> region.judged_window((64, 96))  # (16, 24, 32, 48)

    Reference:

    - [Context encoders](https://arxiv.org/abs/1604.07379), section 3.3
    """

    def __init__(self, overlap=None, mean=None, std=None, **kwargs):
        super().__init__(mean, std, **kwargs)
        check_non_negative_integer("overlap", overlap, or_none=True)
        self.overlap = overlap

    def judged_window(self, image_size):
        height, width = image_size
        return height // 4, width // 4, height // 2, width // 2

    def draw_mask(self, image_size):
        top, left, height, width = self.judged_window(image_size)
        side = min(height, width)
        overlap = self.overlap
        if overlap is None:
            overlap = min(OVERLAP, side // LARGEST_SHARE)
        if 2 * overlap >= side:
            raise ValueError(
                "`overlap` must leave something of the middle half of the "
                f"images to fill. Received: overlap={overlap}, images of "
                f"{image_size[0]} x {image_size[1]} pixels"
            )
        mask = np.zeros(image_size, bool)
        mask[
            top + overlap : top + height - overlap,
            left + overlap : left + width - overlap,
        ] = True
        return mask

    def get_config(self):
        return {**super().get_config(), "overlap": self.overlap}
