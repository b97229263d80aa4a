import numpy as np


def to_rgb(pictures):
    """Returns pictures with three channels, whatever the images have.

    Of up to two channels the first is drawn in grey; of more than three the
    first three as red, green and blue: a fourth, infrared for example, would
    pass for transparency.

    Args:
        pictures: Array of shape `(..., height, width, channels)`.

    Returns:
        Array of shape `(..., height, width, 3)`.
    """
    pictures = np.asarray(pictures)
    if pictures.shape[-1] < 3:
        return np.repeat(pictures[..., :1], 3, axis=-1)
    return pictures[..., :3]
