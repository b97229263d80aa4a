import numpy as np


def to_rgb(pictures):
    """Converts pictures with any number of channels to three.

    Of one or two channels the first is drawn in grey; of more than three the
    first three are red, green and blue. A fourth, such as infrared, would
    otherwise be taken for transparency.

    Args:
        pictures: Array of shape `(..., height, width, channels)`.

    Returns:
        Array of shape `(..., height, width, 3)`.
    """
    pictures = np.asarray(pictures)
    if pictures.shape[-1] < 3:
        return np.repeat(pictures[..., :1], 3, axis=-1)
    return pictures[..., :3]
