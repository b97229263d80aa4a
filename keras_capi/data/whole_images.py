"""Whole images, without augmentation."""

import contextlib

import numpy as np

from keras_capi.data.decode_window import decode_window
from keras_capi.data.image_files import ImageError
from keras_capi.data.map_ahead import map_ahead


def load_squares(images, indices, size, white_level=None):
    """Loads the largest central squares of images, in threads.

    Images that cannot be read are left out.

    Args:
        images: `ImageSource`.
        indices: Sequence of integers: which images to load.
        size: Integer. Height and width of the result.
        white_level: Integer or `None`, see `keras_capi.data.AugmentedImages`.

    Returns:
        Tuple of a uint8 array of shape `(count, size, size, 3)` and an int32
        array of shape `(count,)`: the indices of these images.
    """

    def load(index):
        image, _ = images[int(index)]
        image, _ = decode_window(image, size, _central_square, white_level)
        return np.asarray(image)

    squares, numbers = [], []
    for index, task in map_ahead(load, indices):
        with contextlib.suppress(ImageError):
            squares.append(task.result())
            numbers.append(index)
    squares = np.reshape(squares, (-1, size, size, 3)).astype("uint8")
    return squares, np.array(numbers, "int32")


def _central_square(size):
    side = min(size)
    top, left = ((length - side) // 2 for length in size)
    return top, left, side, side
