"""Decodes images of all kinds, and reports what is unusual in them."""

import contextlib
import io
import pathlib
import threading

import numpy as np

from keras_capi.data.exif_orientation import read_orientation
from keras_capi.data.exif_orientation import turn_upright
from keras_capi.data.image_files import as_eight_bits
from keras_capi.data.image_files import check_image
from keras_capi.data.image_files import convert
from keras_capi.data.image_files import image_errors
from keras_capi.data.image_source import BYTES_TYPES
from keras_capi.data.sixteen_bits import check_deep_colors
from keras_capi.data.sixteen_bits import has_deep_colors
from keras_capi.data.sixteen_bits import is_negative
from keras_capi.data.tiff_pages import warn_of_pages
from keras_capi.optional_imports import import_optional
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path

KINDS_OF_MODES = {
    "1": {"greyscale"},
    "L": {"greyscale"},
    "LA": {"greyscale", "alpha"},
    "PA": {"alpha"},
    "RGBA": {"alpha"},
    "CMYK": {"cmyk"},
    "I;16": {"16-bit", "greyscale"},
    "I;16B": {"16-bit", "greyscale"},
}
GREY_MODES = ("1", "L", "LA")
HUGE = 50_000_000
# For PIL images of the user's: Pillow reads a file when an image is first used,
# and goes wrong if threads do so at once. One lock for all would make threads
# wait for each other.
LOCKS = tuple(threading.Lock() for _ in range(61))


def decode_image(image, white_level=None):
    """Decodes an image to a uint8 RGB array.

    Args:
        image: Path, encoded bytes, PIL image, or uint8 or uint16 array of shape
            `(height, width, 3)`, `(height, width, 1)` or `(height, width)`.
        white_level: Integer or `None`. The value that becomes white in images
            of 16 bits. Defaults to `None`.

    Raises:
        ImageError: If a file or bytes cannot be decoded.
        ValueError: If an image in memory has a wrong shape or dtype.

    Returns:
        Tuple of the array, of shape `(height, width, 3)`, with its EXIF
        orientation applied, and the set of what is unusual: `"greyscale"`,
        `"alpha"`, `"cmyk"`, `"16-bit"`, `"rotated"`, `"huge"` (more than 50
        million pixels).
    """
    image, kinds = decode_to_pillow(image, white_level)
    return np.array(convert(image, "RGB")), kinds


def decode_to_pillow(image, white_level=None):
    """Decodes an image to a PIL image, in RGB or in greyscale ("L").

    Pillow can resize it without another copy, and greyscale in one channel.

    Args:
        image, white_level: As in `decode_image`, which has the same errors.

    Returns:
        Tuple of the image and the set of what is unusual.
    """
    pillow = import_optional("PIL.Image", extra="images")
    with opened_image(image) as opened:
        # First, as Pillow forgets some of it when it loads the image.
        kinds = kinds_of(opened)
        whole = load_upright(opened, kinds, white_level)
        if isinstance(whole, np.ndarray):
            whole = pillow.fromarray(whole)
        return to_rgb_or_grey(whole), kinds


def read_stored_size(image):
    """Returns what tells the size of an image, without decoding it.

    A damaged image may have one, too.

    Args:
        image: As in `decode_image`.

    Raises:
        ImageError, ValueError: As `decode_image` does.

    Returns:
        Tuple of two sides, of most formats those before the image is turned
        upright, and the EXIF orientation, 1 to 8, or 1 if it comes behind a PNG
        image.
    """
    with opened_image(image) as opened:
        if isinstance(opened, np.ndarray):
            return *opened.shape[:2], 1
        # Pillow would decode the image to find what comes behind it.
        is_behind = opened.format == "PNG" and "exif" not in opened.info
        return *opened.size, 1 if is_behind else read_orientation(opened)


def load_upright(image, kinds, white_level):
    """Decodes what `opened_image` yields, in 8 bits and upright.

    Args:
        image: PIL image or array.
        kinds: What `kinds_of` returned for it before.
        white_level: As in `decode_image`.

    Returns:
        PIL image in any mode, or uint8 array of shape `(height, width, 3)` or
        `(height, width)`.
    """
    inverts = False
    if not isinstance(image, np.ndarray):
        inverts = is_negative(image)
        image = turn_upright(image)
    image = as_eight_bits(image, white_level)
    if inverts:
        image = 255 - image
    if "16-bit" in kinds and not isinstance(image, np.ndarray):
        check_deep_colors(np.asarray(image), white_level)
    return image


def to_rgb_or_grey(image):
    """Converts a PIL image to RGB or "L", which Pillow resizes well."""
    return convert(image, "L" if image.mode in GREY_MODES else "RGB")


@contextlib.contextmanager
def opened_image(image):
    """Yields a PIL image, which may not yet be decoded, or an array.

    Within the context, errors of Pillow become an `ImageError`.

    Args:
        image: As in `decode_image`.
    """
    if isinstance(image, BYTES_TYPES):
        image = io.BytesIO(image)
    elif isinstance(image, PATH_TYPES):
        image = as_path(image, "images")
    if isinstance(image, pathlib.Path | io.BytesIO):
        pillow = import_optional("PIL.Image", extra="images")
        with image_errors(), pillow.open(image) as opened:
            warn_of_pages(opened)
            yield opened
    elif hasattr(image, "convert"):
        check_image(image)
        # Pillow may not yet have read its file.
        with image_errors(), LOCKS[id(image) % len(LOCKS)]:
            yield image
    else:
        yield np.asarray(image)


def kinds_of(image):
    """Returns what is unusual in a PIL image or array, see `decode_image`."""
    if isinstance(image, np.ndarray):
        is_grey = image.ndim == 2 or image.shape[-1:] == (1,)
        kinds = {"greyscale"} if is_grey else set()
        return kinds | {"16-bit"} if image.dtype == np.uint16 else kinds
    kinds = set(KINDS_OF_MODES.get(image.mode, ()))
    if has_deep_colors(image):
        kinds.add("16-bit")
    if "transparency" in image.info:
        kinds.add("alpha")
    if read_orientation(image) != 1:
        kinds.add("rotated")
    if image.width * image.height > HUGE:
        kinds.add("huge")
    return kinds
