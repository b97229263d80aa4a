"""Reads masks: images whose pixels are labels."""

import numpy as np

from keras_capi.optional_imports import import_optional

# Pillow stretches grey values of two or four bits to eight.
STRETCHED = {"L;2": 85, "L;4": 17}
# And it inverts them where 0 is white, as in some TIFF files.
INVERTED = "I"


def read_mask(path):
    """Reads a mask as an array of shape `(height, width)`.

    Args:
        path: Path of a file with one number for each pixel, such as a PNG: the
            indices of a palette, or grey values of up to 16 bits.

    Returns:
        Uint8 array, or int32 for files of more than 8 bits, with the numbers in
        the file. `None` if the pixels are not single numbers, or if the file is
        a JPEG, whatever its name: its compression has changed the numbers.
    """
    pillow = import_optional("PIL.Image", extra="images")
    with pillow.open(path) as image:
        if image.format == "JPEG":
            return None
        coding = _coding(image)
        mask = np.array(image)
        is_single = image.mode in ("1", "L", "P", "I")
        if not is_single and not image.mode.startswith("I;16"):
            return None
        largest = 1 if image.mode == "1" else 255
    mask = mask.astype("uint8" if mask.dtype.itemsize == 1 else "int32")
    if INVERTED in coding.partition(";")[2]:
        mask = largest - mask
    return mask // STRETCHED.get(coding[:3], 1)


def _coding(image):
    """Returns how pixels are stored, such as `"L;4I"`, in 4 bits inverted.

    Loading an image empties `tile`, the only place with this information.
    """
    arguments = image.tile[0][3] if image.tile else ""
    # Of PNG files it is alone, of others with more about the file.
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def resize_mask(mask, size):
    """Resizes an array to `size`, `(height, width)`, by nearest neighbour."""
    pillow = import_optional("PIL.Image", extra="images")
    resized = pillow.fromarray(mask).resize(
        (size[1], size[0]), pillow.Resampling.NEAREST
    )
    return np.array(resized)
