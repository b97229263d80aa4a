import numpy as np


def check_pictures(pictures):
    """Returns pictures as an array, or raises a `ValueError`.

    Images as the model takes them, or of 16 bits, would be drawn cut off at
    black and white.

    Args:
        pictures: Array of uint8, or of floats in [0, 1].
    """
    pictures = np.asarray(pictures)
    if pictures.dtype == np.uint8 or not pictures.size:
        return pictures
    # Rounding errors pass.
    low, high = pictures.min(), pictures.max()
    if not -1e-3 <= low <= high <= 1.001:
        raise ValueError(
            "`pictures` must be uint8, or floats in [0, 1]. Received: "
            f"dtype {pictures.dtype}, values from {low} to {high}"
        )
    return pictures


def to_unit(pictures):
    """Returns pictures as floats in [0, 1], or raises a `ValueError`.

    Args:
        pictures: Array of uint8, or of such floats.
    """
    pictures = check_pictures(pictures)
    if pictures.dtype == np.uint8:
        return pictures.astype("float32") / 255.0
    return pictures.astype("float32")
