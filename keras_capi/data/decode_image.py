"""Decodes images of all kinds, and says in what they are unusual."""

import io
import pathlib

import numpy as np

from keras_capi.data.exif_orientation import read_orientation
from keras_capi.data.image_files import as_rgb
from keras_capi.data.image_files import as_upright_rgb
from keras_capi.optional_imports import import_optional

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


def decode_image(image, sufficient_size=None):
    """Decodes an image to a uint8 RGB array.

    Args:
        image: Path, encoded bytes, PIL image, or uint8 array of shape `(height,
            width, 3)`, `(height, width, 1)` or `(height, width)`.
        sufficient_size: Integer or `None`. JPEGs may be decoded at a half, a
            quarter or an eighth of their size, which is much faster, as long as
            the shorter side keeps that many pixels. Defaults to `None`.

    Returns:
        Tuple of the array, of shape `(height, width, 3)`, turned as its EXIF
        orientation says, and the set of what is unusual: `"greyscale"`,
        `"alpha"`, `"cmyk"`, `"16-bit"`, `"rotated"`, `"huge"` (more than 50
        million pixels).
    """
    if isinstance(image, bytes):
        image = io.BytesIO(image)
    if isinstance(image, str | pathlib.Path | io.BytesIO):
        pillow = import_optional("PIL.Image", extra="images")
        with pillow.open(image) as opened:
            kinds = _kinds(opened)
            if sufficient_size is not None and opened.format == "JPEG":
                # Keeps the aspect ratio, and both sides at least so long.
                opened.draft(None, (sufficient_size, sufficient_size))
            return as_upright_rgb(opened), kinds
    if hasattr(image, "convert"):
        return as_upright_rgb(image), _kinds(image)
    image = np.asarray(image)
    is_grey = image.ndim == 2 or image.shape[-1] == 1
    return as_rgb(image), {"greyscale"} if is_grey else set()


def _kinds(image):
    kinds = set(KINDS_OF_MODES.get(image.mode, ()))
    if "transparency" in image.info:
        kinds.add("alpha")
    if read_orientation(image) != 1:
        kinds.add("rotated")
    if image.width * image.height > HUGE:
        kinds.add("huge")
    return kinds
