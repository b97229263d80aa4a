"""Converts 16-bit images to 8 bits."""

import warnings

import numpy as np

from keras_capi.validation import is_integer

WHITE = 65535
# The largest value of 14 bits, the most that camera sensors have.
DARK = 2**14 - 1
# A tag of TIFF files, and what it is where the least value is white.
PHOTOMETRIC, WHITE_IS_ZERO = 0x0106, 0


def to_eight_bits(values, white_level=None):
    """Scales 16-bit values to 8 bits.

    16-bit files often hold the 10 to 14 bits of a camera or microscope. Without
    `white_level` these come out dark or black.

    Args:
        values: Uint16 array.
        white_level: Integer or `None`. The value that becomes white, such as
            4095 for 12 bits; so do larger ones. `None` uses 65535, and warns of
            an image that does not reach a quarter of it.

    Returns:
        Uint8 array of the same shape.
    """
    if white_level is None:
        white_level = WHITE
        if values.max() <= DARK:
            # Without numbers, so that Python shows the same warning only once.
            warnings.warn(
                "A 16-bit image has no bright pixel: its largest value is less "
                f"than a quarter of {WHITE}. If the files hold fewer bits, say "
                "which value is white, such as `white_level=4095` for 12 bits "
                "(in recipes `data.white_level`, in commands "
                "`--white-level`); if they are only dark, "
                f"`white_level={WHITE}`",
                stacklevel=2,
            )
    levels = np.minimum(values, white_level).astype("uint32") * 256
    return (levels // (white_level + 1)).astype("uint8")


def is_negative(image):
    """Tells whether a PIL image has the least values where it is white.

    As TIFF files of radiographs and scans may. Of 8 bits Pillow inverts them
    itself, of 16 it does not. Only an image that was not turned can tell.
    """
    tags = getattr(image, "tag_v2", {})
    is_deep = image.mode.startswith("I;16")
    return is_deep and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def check_white_level(white_level):
    """Raises a `ValueError` unless `white_level` is `None` or in [1, 65535]."""
    if white_level is None:
        return
    if not is_integer(white_level) or not 1 <= white_level <= WHITE:
        raise ValueError(
            f"`white_level` must be an integer in [1, {WHITE}] or None. "
            f"Received: white_level={white_level!r}"
        )


def has_deep_colors(image):
    """Returns whether the file of a PIL image has 16 bits for each colour.

    Pillow keeps only the upper 8 bits, and forgets that there were more once
    the image is loaded.
    """
    coding = [tile[3] for tile in getattr(image, "tile", ())]
    return ";16" in str(coding) and not image.mode.startswith("I")


def check_deep_colors(pixels, white_level):
    """Warns or raises if the upper 8 of 16 bits would not be the right ones.

    Args:
        pixels: Uint8 array.
        white_level: As in `to_eight_bits`, which can no longer be used.
    """
    advice = (
        "Pillow keeps the upper 8 bits of 16-bit colours: read such files in "
        "another way, and pass uint16 arrays and `white_level`"
    )
    if white_level not in (None, WHITE):
        raise ValueError(f"{advice}. Received: white_level={white_level}")
    if white_level is None and pixels.max() <= DARK >> 8:
        message = f"A 16-bit image has no bright pixel. {advice}"
        warnings.warn(message, stacklevel=2)
