"""Decodes images of all kinds, and says in what they are unusual."""

import io
import pathlib

import numpy as np

from keras_capi.data.exif_orientation import read_orientation
from keras_capi.data.image_files import as_rgb
from keras_capi.data.image_files import as_upright_rgb
from keras_capi.data.image_files import check_image
from keras_capi.data.image_files import image_errors
from keras_capi.data.image_source import BYTES_TYPES
from keras_capi.data.sixteen_bits import check_deep_colors
from keras_capi.data.sixteen_bits import has_deep_colors
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
HUGE = 50_000_000


def decode_image(image, sufficient_size=None, white_level=None):
    """Decodes an image to a uint8 RGB array.

    Args:
        image: Path, encoded bytes, PIL image, or uint8 or uint16 array of shape
            `(height, width, 3)`, `(height, width, 1)` or `(height, width)`.
        sufficient_size: Integer or `None`. JPEGs may be decoded at a half, a
            quarter or an eighth of their size, which is much faster, as long as
            the shorter side keeps that many pixels. Defaults to `None`.
        white_level: Integer or `None`. The value that becomes white in images
            of 16 bits. Defaults to `None`.

    Raises:
        ImageError: If a file or bytes cannot be decoded.
        ValueError: If an image in memory is of a wrong kind.

    Returns:
        Tuple of the array, of shape `(height, width, 3)`, turned as its EXIF
        orientation says, and the set of what is unusual: `"greyscale"`,
        `"alpha"`, `"cmyk"`, `"16-bit"`, `"rotated"`, `"huge"` (more than 50
        million pixels).
    """
    if isinstance(image, BYTES_TYPES):
        image = io.BytesIO(image)
    elif isinstance(image, PATH_TYPES):
        image = as_path(image, "images")
    if isinstance(image, pathlib.Path | io.BytesIO):
        pillow = import_optional("PIL.Image", extra="images")
        with image_errors(), pillow.open(image) as opened:
            # First, as the EXIF tags of some formats load the image.
            is_deep = has_deep_colors(opened)
            kinds = _kinds(opened)
            if sufficient_size is not None and opened.format == "JPEG":
                # Keeps the aspect ratio, and both sides at least so long.
                opened.draft(None, (sufficient_size, sufficient_size))
            pixels = as_upright_rgb(opened, white_level)
            if is_deep:
                kinds.add("16-bit")
                check_deep_colors(pixels, white_level)
            return pixels, kinds
    if hasattr(image, "convert"):
        check_image(image)
        # Pillow may not have read its file yet.
        with image_errors():
            return as_upright_rgb(image, white_level), _kinds(image)
    image = np.asarray(image)
    is_grey = image.ndim == 2 or image.shape[-1:] == (1,)
    kinds = {"greyscale"} if is_grey else set()
    if image.dtype == np.uint16:
        kinds.add("16-bit")
    return as_rgb(image, white_level), kinds


def _kinds(image):
    kinds = set(KINDS_OF_MODES.get(image.mode, ()))
    if "transparency" in image.info:
        kinds.add("alpha")
    if read_orientation(image) != 1:
        kinds.add("rotated")
    if image.width * image.height > HUGE:
        kinds.add("huge")
    return kinds
