"""Irregular regions of images."""

import math

from keras import ops

# Random numbers besides those of the cells: the offset of the pattern, by axis.
NUM_PHASES = 2
# The free parameter of the bicubic kernel, as in torch and OpenCV.
SHARPNESS = -0.75


def count_cells(size, cell_size):
    """Returns the number of cells of a pattern along an axis of an image.

    Args:
        size: Integer. Pixels of the axis.
        cell_size: Float. Side of a cell in pixels.
    """
    return int((size - 1) / cell_size) + 5


def count_region_numbers(image_size, cell_size):
    """Returns the number of random numbers for a mask of `region_masks`.

    Args:
        image_size: Tuple of two integers.
        cell_size: Float. Side of a cell in pixels.
    """
    rows, columns = (count_cells(size, cell_size) for size in image_size)
    return rows * columns + NUM_PHASES


def region_masks(uniform, image_size, cell_size, threshold):
    """Marks where a smooth random pattern is low.

    A pattern of uniform numbers, one for each cell, is enlarged bicubically,
    and the image is placed on it at random.

    Args:
        uniform: Float32 tensor of shape `(count, numbers)`, uniform in
            `[0, 1)`; see `count_region_numbers`.
        image_size: Tuple of two integers, height and width.
        cell_size: Float. Side of a cell in pixels.
        threshold: Float. Pixels where the pattern is below it are marked.

    Returns:
        Boolean tensor of shape `(count, height, width)`.
    """
    uniform = ops.convert_to_tensor(uniform)
    counts = [count_cells(size, cell_size) for size in image_size]
    cells = ops.reshape(uniform[:, NUM_PHASES:], (-1, *counts))
    rows, columns = (
        _enlarging_matrix(uniform[:, axis], size, count, cell_size)
        for axis, (size, count) in enumerate(
            zip(image_size, counts, strict=True)
        )
    )
    pattern = ops.matmul(ops.matmul(rows, cells), ops.swapaxes(columns, 1, 2))
    return pattern < threshold


def first_of_size(masks, smallest, largest):
    """Returns the first mask whose number of marked pixels is in a range.

    If there is none, returns the one whose number is closest to the middle of
    the range.

    Args:
        masks: Boolean tensor of shape `(count, height, width)`.
        smallest: Integer.
        largest: Integer.

    Returns:
        Boolean tensor of shape `(height, width)`.
    """
    masks = ops.convert_to_tensor(masks)
    numbers = ops.sum(ops.cast(masks, "int32"), axis=(1, 2))
    distances = ops.abs(2 * numbers - (smallest + largest))
    # All masks that fit are equally good, and the first minimum is taken.
    distances = ops.maximum(distances, largest - smallest)
    return ops.take(masks, ops.argmin(distances), axis=0)


def size_bounds(num_pixels, low, high):
    """Returns the whole numbers strictly between two shares of pixels.

    Args:
        num_pixels: Integer.
        low: Float.
        high: Float.

    Returns:
        Two integers: the smallest and the largest.
    """
    rounding = 1e-9 * num_pixels
    smallest = math.floor(low * num_pixels + rounding) + 1
    return smallest, math.ceil(high * num_pixels - rounding) - 1


def _enlarging_matrix(phases, size, count, cell_size):
    """Returns matrices of shape `(masks, size, count)`."""
    pixels = ops.cast(ops.arange(size), "float32") / cell_size
    positions = 1.0 + phases[:, None] + pixels
    cells = ops.cast(ops.arange(count), "float32")
    return _cubic_kernel(ops.abs(positions[:, :, None] - cells))


def _cubic_kernel(distance):
    a = SHARPNESS
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = a * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    return ops.where(distance < 1.0, near, ops.where(distance < 2.0, far, 0.0))
