import math

import numpy as np

from keras_capi.ops.images.resampling import NUM_ATTEMPTS


def random_window(generator, image_size, scale, aspect_ratio):
    """Draws a window like `keras_capi.layers.RandomResizedCrop`, in NumPy.

    For one image at a time, of any size, in threads of the host.

    Args:
        generator: `numpy.random.Generator`.
        image_size: Height and width of the image, integers.
        scale: Tuple of two floats. Bounds of the area, as a fraction of the
            image.
        aspect_ratio: Tuple of two floats. Bounds of width over height.

    Returns:
        Four integers: top, left, height, width.
    """
    height, width = image_size
    for _ in range(NUM_ATTEMPTS):
        area = generator.uniform(*scale) * height * width
        aspect = math.exp(generator.uniform(*np.log(aspect_ratio)))
        inner_height = round(math.sqrt(area / aspect))
        inner_width = round(math.sqrt(area * aspect))
        if 1 <= inner_height <= height and 1 <= inner_width <= width:
            top = generator.integers(height - inner_height + 1)
            left = generator.integers(width - inner_width + 1)
            return int(top), int(left), inner_height, inner_width
    # Otherwise the largest central window with an allowed aspect ratio.
    aspect = min(max(width / height, aspect_ratio[0]), aspect_ratio[1])
    inner_height = min(max(round(width / aspect), 1), height)
    inner_width = min(max(round(height * aspect), 1), width)
    return (
        (height - inner_height) // 2,
        (width - inner_width) // 2,
        inner_height,
        inner_width,
    )
