"""Applies the EXIF orientation of photographs."""

import struct

from keras_capi.optional_imports import import_optional

ORIENTATION = 0x0112
# What an EXIF block calls its integers, and how `struct` reads them.
INTEGERS = {1: "B", 3: "H", 4: "L"}


def read_orientation(image):
    """Returns the EXIF orientation of a PIL image: 1, upright, to 8.

    Other tags are ignored: cameras and programs write tags that break the
    rules, although the photographs are fine. An invalid orientation counts as
    1.
    """
    orientation = _find_orientation(image.info.get("exif"))
    if orientation is None:
        orientation = _ask_pillow(image)
    return orientation if orientation in range(1, 9) else 1


def turn_upright(image):
    """Returns a PIL image with its EXIF orientation applied."""
    pillow = import_optional("PIL.Image", extra="images")
    # Before the orientation: Pillow itself turns TIFF files on loading.
    image.load()
    orientation = read_orientation(image)
    if orientation == 1:
        return image
    turn = pillow.Transpose
    # Not `PIL.ImageOps.exif_transpose`, which rewrites all other tags, and
    # raises where it cannot.
    return image.transpose(
        {
            2: turn.FLIP_LEFT_RIGHT,
            3: turn.ROTATE_180,
            4: turn.FLIP_TOP_BOTTOM,
            5: turn.TRANSPOSE,
            6: turn.ROTATE_270,
            7: turn.TRANSVERSE,
            8: turn.ROTATE_90,
        }[orientation]
    )


def _find_orientation(exif):
    """Finds the orientation in the first directory of an EXIF block."""
    if not isinstance(exif, bytes):
        return None
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, place)
            if tag == ORIENTATION and kind in INTEGERS:
                form = f"{order}{INTEGERS[kind]}"
                return struct.unpack_from(form, exif, place + 8)[0]
    except struct.error:
        # The block ends too early.
        pass
    return None


def _ask_pillow(image):
    """Returns the orientation that only Pillow can find, or `None`.

    It may be in the tags of a TIFF file, in the text of a PNG file, in XMP, or
    set by hand.
    """
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:
        # Pillow raises all kinds of errors for damaged tags.
        return None
