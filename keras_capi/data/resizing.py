import numpy as np

from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_positive_integer


def resize_shorter_side(image, size):
    """Resizes an image, bicubically, to a given size of its shorter side.

    For images of any size on the disk or in memory. In a pipeline of batches
    use `keras_capi.layers.RandomResizedCrop`, or `keras.layers.Resizing`.

    Args:
        image: Uint8 array of shape `(height, width, 3)`.
        size: Integer. Pixels of the shorter side of the result. The longer
            side follows, so that the aspect ratio stays.

    Returns:
        Uint8 array of shape `(new_height, new_width, 3)`.

    Raises:
        ImportError: If Pillow is not installed.

    Example:

    >>> image = np.zeros((300, 450, 3), "uint8")
    >>> resize_shorter_side(image, 100).shape  # (100, 150, 3)
    """
    check_positive_integer("size", size)
    height, width = image.shape[:2]
    scale = size / min(height, width)
    return resize_image(image, (round(height * scale), round(width * scale)))


def resize_image(image, size):
    """Resizes a uint8 RGB array bicubically to `size`, `(height, width)`."""
    pillow = import_optional("PIL.Image", extra="images")
    resized = pillow.fromarray(image).resize(
        (size[1], size[0]),
        # Antialiased where the image shrinks.
        pillow.Resampling.BICUBIC,
    )
    return np.array(resized)


def resize_and_crop(image, size, crop_ratio):
    """Prepares a uint8 RGB array as the paper's evaluation does.

    Args:
        image: Uint8 array of shape `(height, width, 3)`.
        size: Tuple `(height, width)` of the result.
        crop_ratio: Float in `(0, 1]`. The share of the resized image, along the
            side that limits it, that the central crop keeps.
    """
    wanted = [round(n / crop_ratio) for n in size]
    shape = image.shape
    # In integers, to get the same size as other implementations.
    limiting = max((0, 1), key=lambda axis: wanted[axis] / shape[axis])
    covering = [
        n * wanted[limiting] // shape[limiting]
        if axis != limiting
        else wanted[axis]
        for axis, n in enumerate(shape[:2])
    ]
    return crop_center(resize_image(image, covering), size)


def crop_center(image, size):
    """Cuts the central `size`, `(height, width)`, out of an array."""
    top, left = (
        round((given - wanted) / 2)
        for given, wanted in zip(image.shape[:2], size, strict=True)
    )
    return image[top : top + size[0], left : left + size[1]]


def check_crop_ratio(crop_ratio):
    """Raises a `ValueError` unless the ratio is in (0, 1]."""
    if not 0.0 < crop_ratio <= 1.0:
        raise ValueError(
            f"`crop_ratio` must be in (0, 1]. Received: crop_ratio={crop_ratio}"
        )
