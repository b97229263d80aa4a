"""Decodes a part of an image, at no more resolution than needed."""

import math

import numpy as np

from keras_capi.data.decode_image import kinds_of
from keras_capi.data.decode_image import load_upright
from keras_capi.data.decode_image import opened_image
from keras_capi.data.decode_image import to_rgb_or_grey
from keras_capi.data.exif_orientation import read_orientation
from keras_capi.data.image_files import convert
from keras_capi.data.image_source import BYTES_TYPES
from keras_capi.optional_imports import import_optional
from keras_capi.paths import PATH_TYPES

# Formats that can be decoded at a half, a quarter or an eighth of their size.
# Many phones write MPO: a JPEG followed by others.
REDUCIBLE = ("JPEG", "MPO")
# A reduced image keeps at least this many pixels for each pixel of the result
# along each side. Photographs then differ by less than one of 256 levels on
# average.
LEAST_RATIO = 2


def decode_window(image, size, draw_window, white_level=None):
    """Decodes a part of an image, resized bicubically to a square.

    Args:
        image: As in `decode_image`.
        size: Integer. Height and width of the result.
        draw_window: Callable that gets the height and width of the upright
            image at full size, and returns top, left, height and width of the
            part.
        white_level: As in `decode_image`.

    Raises:
        ImageError, ValueError: As `decode_image` does.

    Returns:
        Tuple of a PIL image in RGB, and the set of what is unusual, as in
        `decode_image`.
    """
    pillow = import_optional("PIL.Image", extra="images")
    with opened_image(image) as opened:
        # First, as Pillow forgets some of it when it loads the image.
        kinds, window = kinds_of(opened), None
        # The caller's own image must not change.
        is_file = isinstance(image, PATH_TYPES + BYTES_TYPES)
        if is_file and opened.format in REDUCIBLE:
            window = _reduce(opened, size, draw_window)
        whole = load_upright(opened, kinds, white_level)
        if isinstance(whole, np.ndarray):
            top, left, height, width = draw_window(whole.shape[:2])
            part = whole[top : top + height, left : left + width]
            part, box = pillow.fromarray(part), None
        else:
            part, box = _cut(whole, window or draw_window(whole.size[::-1]))
        # Cropped first, as converting takes as long as resizing.
        part = to_rgb_or_grey(part)
        part = part.resize(
            (size, size),
            # With antialiasing where the image shrinks.
            pillow.Resampling.BICUBIC,
            box=box,
            reducing_gap=LEAST_RATIO,
        )
        return convert(part, "RGB"), kinds


def _reduce(image, size, draw_window):
    """Draws a part of a JPEG, and decodes it no larger than needed.

    Returns:
        Top, left, height and width within the upright reduced image.
    """
    stored, orientation = image.size, read_orientation(image)
    width, height = stored[::-1] if orientation >= 5 else stored
    window = draw_window((height, width))
    wanted = min(window[2:]) // (LEAST_RATIO * size)
    if wanted < 2:
        return window
    # Pillow uses the largest available factor that is not more than this.
    drafted = image.draft(None, tuple(-(-side // wanted) for side in stored))
    if drafted is None:
        return window
    factor = stored[0] / drafted[1][2]
    top, left, window_height, window_width = (n / factor for n in window)
    # The last pixels may partly lie outside the image. Rotated, they come
    # first.
    if orientation in (3, 4, 7, 8):
        top += -height % factor / factor
    if orientation in (2, 3, 6, 7):
        left += -width % factor / factor
    return top, left, window_height, window_width


def _cut(image, window):
    """Cuts a window out in whole pixels, and returns where in them it is."""
    top, left, height, width = window
    outer_left, outer_top = math.floor(left), math.floor(top)
    part = image.crop(
        (
            outer_left,
            outer_top,
            math.ceil(left + width),
            math.ceil(top + height),
        )
    )
    left, top = left - outer_left, top - outer_top
    return part, (left, top, left + width, top + height)
