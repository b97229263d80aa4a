import numpy as np

from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import convert
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer

# How many times longer than its crop a resized image may be.
MAX_RATIO = 16


def resize_shorter_side(image, size):
    """Resizes an image bicubically, so that its shorter side has a given size.

    For single images of any size. For batches in a pipeline use
    `keras_capi.layers.RandomResizedCrop` or `keras.layers.Resizing`.

    Args:
        image: Uint8 array of shape `(height, width, 3)`.
        size: Integer. Pixels of the shorter side of the result. The aspect
            ratio is kept.

    Returns:
        Uint8 array of shape `(new_height, new_width, 3)`.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If the image is of another shape or dtype, or if the result
            would have more than twice `PIL.Image.MAX_IMAGE_PIXELS` pixels, the
            most that Pillow opens; for example that of a strip one pixel wide.

    Example:

    >>> image = np.zeros((300, 450, 3), "uint8")
    >>> resize_shorter_side(image, 100).shape  # (100, 150, 3)
    """
    check_positive_integer("size", size)
    pillow = import_optional("PIL.Image", extra="images")
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[-1] != 3
        or not image.size
    ):
        # Pillow would take the fourth of four channels for transparency, and
        # multiply the others by it.
        raise ValueError(
            "`image` must be a uint8 array of shape (height, width, 3); "
            "`keras.layers.Resizing` takes others. "
            f"Received: shape {image.shape}, dtype {image.dtype}"
        )
    height, width = image.shape[:2]
    scale = size / min(height, width)
    wanted = round(height * scale), round(width * scale)
    largest = pillow.MAX_IMAGE_PIXELS
    if largest is not None and wanted[0] * wanted[1] > 2 * largest:
        raise ImageError(
            f"Resized images must not have more than {2 * largest:,} pixels: "
            f"crop the longer side first. Received: size={size} for an image "
            f"of shape {image.shape}"
        )
    return resize_image(image, wanted)


def resize_image(image, size):
    """Resizes a uint8 RGB array bicubically to `size`, `(height, width)`."""
    pillow = import_optional("PIL.Image", extra="images")
    return np.array(_resize(pillow.fromarray(image), size))


def resize_and_crop(image, size, crop_ratio):
    """Prepares an image as the paper's evaluation does.

    Args:
        image: PIL image in RGB or greyscale ("L").
        size: Tuple `(height, width)` of the result.
        crop_ratio: Float in `(0, 1]`. The share of the resized image that the
            central crop keeps, along the side that limits it.

    Returns:
        Uint8 array of shape `(*size, 3)`.
    """
    wanted = [round(n / crop_ratio) for n in size]
    shape = image.height, image.width
    # In integers, to get the same size as other implementations.
    limiting = max((0, 1), key=lambda axis: wanted[axis] / shape[axis])
    covering = [
        n * wanted[limiting] // shape[limiting]
        if axis != limiting
        else wanted[axis]
        for axis, n in enumerate(shape)
    ]
    image, covering = _cut_strip(image, covering, size)
    return crop_center(_resize(image, covering), size)


def _resize(image, size):
    """Resizes a PIL image bicubically to `size`, `(height, width)`."""
    pillow = import_optional("PIL.Image", extra="images")
    # With antialiasing where the image shrinks.
    return image.resize((size[1], size[0]), pillow.Resampling.BICUBIC)


def _cut_strip(image, covering, size):
    """Cuts off what would be far outside the crop after resizing.

    Resizing the whole of an image of 1 x 100,000 pixels would take 20 GB.
    Images that are not much longer than the crop stay whole: the result must be
    exactly that of other implementations, and Pillow's rounding depends on the
    whole image.

    Args:
        image: PIL image.
        covering: List of two integers. The height and width to resize to.
        size: Tuple of two integers. The height and width of the crop.

    Returns:
        The first two arguments, for a part with the same centre.
    """
    kept, resized = [image.height, image.width], list(covering)
    for axis, length in enumerate(kept):
        longest = MAX_RATIO * size[axis]
        if resized[axis] > longest:
            count = max(longest * length // resized[axis], 1)
            # The same number is cut off at both ends.
            kept[axis] = count + (length - count) % 2
            resized[axis] = round(resized[axis] * kept[axis] / length)
    return _crop_center(image, kept), resized


def crop_center(image, size):
    """Cuts the central `size`, `(height, width)`, out of a PIL image.

    Returns:
        Uint8 array of shape `(*size, 3)`.
    """
    return np.array(convert(_crop_center(image, size), "RGB"))


def _crop_center(image, size):
    top, left = (
        round((given - wanted) / 2)
        for given, wanted in zip(image.size[::-1], size, strict=True)
    )
    return image.crop((left, top, left + size[1], top + size[0]))


def check_crop_ratio(crop_ratio):
    """Raises a `ValueError` unless the ratio is in (0, 1]."""
    check_number("crop_ratio", crop_ratio, "(0, 1]")
