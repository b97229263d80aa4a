"""Hides the colour fringes of lenses, which reveal positions in an image."""

import numpy as np
from keras import ops

# The axis from green to magenta, along which the fringes lie.
AXIS = np.array([[-1.0, 2.0, -1.0]])
PROJECTION = np.eye(3) - AXIS.T @ AXIS / (AXIS @ AXIS.T)
# In grey levels out of 256. Smaller deviations are rounding errors.
SMALLEST_DEVIATION = 0.1


def drop_colors(pixels, kept, noise):
    """Keeps one channel of each patch, and replaces the others by noise.

    Args:
        pixels: Float32 tensor of shape `(patches, height, width, channels)`,
            from 0 to 255.
        kept: Integer tensor of shape `(patches,)`: the channels to keep.
        noise: Float32 tensor of the shape of `pixels`, uniform in `[0, 1)`.

    Returns:
        Float32 tensor of the shape of `pixels`; the kept channel has a mean of
        0, and all values together a mean square of 1.
    """
    pixels = ops.convert_to_tensor(pixels, "float32")
    channels = ops.arange(ops.shape(pixels)[-1], dtype="int32")
    kept = ops.reshape(ops.cast(kept, "int32"), (-1, 1, 1, 1))
    is_kept = ops.equal(kept, channels)
    return _rescale(ops.where(is_kept, _center(pixels), noise - 0.5))


def project_colors(pixels):
    """Removes the green-magenta axis from the colours of each patch.

    Args:
        pixels: Float32 tensor of shape `(patches, height, width, 3)`, from 0 to
            255.

    Returns:
        Float32 tensor of the shape of `pixels`; each channel has a mean of 0,
        and all values together a mean square of 1.

    Raises:
        ValueError: If there are not three channels.
    """
    if pixels.shape[-1] != len(PROJECTION):
        raise ValueError(
            "Colours can be projected of images with 3 channels. Received: "
            f"{pixels.shape[-1]} channels"
        )
    pixels = ops.convert_to_tensor(pixels, "float32")
    projection = ops.convert_to_tensor(PROJECTION, "float32")
    return _rescale(_center(ops.matmul(pixels, projection)))


def _center(pixels):
    return pixels - ops.mean(pixels, axis=(1, 2), keepdims=True)


def _rescale(pixels):
    squares = ops.mean(ops.square(pixels), axis=(1, 2, 3), keepdims=True)
    return pixels / ops.sqrt(ops.maximum(squares, SMALLEST_DEVIATION**2))
