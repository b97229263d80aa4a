"""CIE Lab colours: lightness, green to red, blue to yellow."""

import numpy as np
from keras import ops

# From sRGB's red, green and blue to X, Y and Z, and the white there (D65), with
# the digits of scikit-image.
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
RGB_FROM_XYZ = np.linalg.inv(XYZ_FROM_RGB)
WHITE = (0.95047, 1.0, 1.08883)
# Below these values, the curves are linear.
DARK_SRGB, DARK_LINEAR = 0.04045, 0.0031308
DARK_XYZ, DARK_LAB = 0.008856, 0.2068966
SLOPE, OFFSET = 7.787, 16.0 / 116.0


def rgb_to_lab(images):
    """Converts sRGB to CIE Lab.

    Args:
        images: Float tensor of shape `(..., 3)`: red, green and blue from 0 to
            1.

    Returns:
        Float32 tensor of that shape: lightness from 0 to 100, and the two
        colour axes a and b from about -110 to 110, where 0 is grey.

    Example:

    >>> red = np.array([1.0, 0.0, 0.0])
    >>> keras_capi.ops.rgb_to_lab(red)  # [53.24, 80.09, 67.20]

    Reference:

    - [skimage.color.rgb2lab](https://scikit-image.org/docs/stable/api/skimage.color.html#skimage.color.rgb2lab),
      whose constants these are
    """
    images = ops.cast(images, "float32")
    # Powers of negative numbers are not finite.
    bright = ops.power((ops.maximum(images, 0.0) + 0.055) / 1.055, 2.4)
    linear = ops.where(images > DARK_SRGB, bright, images / 12.92)
    xyz = _mix(linear, XYZ_FROM_RGB / np.array(WHITE)[:, None])
    bright = ops.power(ops.maximum(xyz, DARK_XYZ), 1.0 / 3.0)
    x, y, z = ops.unstack(
        ops.where(xyz > DARK_XYZ, bright, SLOPE * xyz + OFFSET), axis=-1
    )
    return ops.stack(
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1
    )


def lab_to_rgb(lab):
    """Converts CIE Lab to sRGB, the inverse of `rgb_to_lab`.

    Args:
        lab: Float tensor of shape `(..., 3)`.

    Returns:
        Float32 tensor of that shape, clipped to `[0, 1]`, as not every colour
        can be displayed.
    """
    lightness, a, b = ops.unstack(ops.cast(lab, "float32"), axis=-1)
    y = (lightness + 16.0) / 116.0
    curved = ops.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
    straight = (curved - OFFSET) / SLOPE
    xyz = ops.where(curved > DARK_LAB, ops.power(curved, 3), straight)
    linear = _mix(xyz, RGB_FROM_XYZ * np.array(WHITE))
    bright = ops.power(ops.maximum(linear, DARK_LINEAR), 1.0 / 2.4)
    images = ops.where(
        linear > DARK_LINEAR, 1.055 * bright - 0.055, 12.92 * linear
    )
    return ops.clip(images, 0.0, 1.0)


def _mix(values, matrix):
    """Multiplies the last axis by a matrix, at full precision."""
    # Matrix products have lower precision on some accelerators.
    matrix = ops.convert_to_tensor(matrix, "float32")
    return ops.sum(values[..., None, :] * matrix, axis=-1)
