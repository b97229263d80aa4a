"""Reads masks: images whose pixels are labels."""

import numpy as np

from keras_capi.optional_imports import import_optional

# Pillow stretches grey values of two or four bits to eight.
STRETCHED = {"L;2": 85, "L;4": 17}


def read_mask(path):
    """Reads a mask as an array of shape `(height, width)`.

    Args:
        path: Path of a PNG file with one number for each pixel: the indices of
            a palette, or grey values of up to 16 bits.

    Returns:
        Uint8 array, or int32 for files of more than 8 bits, with the numbers in
        the file. `None` if the pixels are not single numbers, or if the file is
        a JPEG, whatever its name: its compression has changed the numbers.
    """
    pillow = import_optional("PIL.Image", extra="images")
    with pillow.open(path) as image:
        if image.format == "JPEG":
            return None
        # Loading empties `tile`, the only place with this information.
        coding = image.tile[0][3] if image.tile else None
        mask = np.array(image)
        is_single = image.mode in ("1", "L", "P", "I")
        if not is_single and not image.mode.startswith("I;16"):
            return None
    mask = mask.astype("uint8" if mask.dtype.itemsize == 1 else "int32")
    return mask // STRETCHED.get(coding, 1)


def resize_mask(mask, size):
    """Resizes an array to `size`, `(height, width)`, by nearest neighbour."""
    pillow = import_optional("PIL.Image", extra="images")
    resized = pillow.fromarray(mask).resize(
        (size[1], size[0]), pillow.Resampling.NEAREST
    )
    return np.array(resized)
