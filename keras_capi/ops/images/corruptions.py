"""Masks of the values that a corruption removes from images."""

import math

from keras import ops


def mark_smallest(numbers, share):
    """Marks an exact count of the smallest numbers of each sample.

    Args:
        numbers: Float tensor of shape `(batch, ...)`.
        share: Float in `[0, 1]`. Of `n` numbers `int(n * share)` are marked.

    Returns:
        Boolean tensor of that shape.
    """
    shape = ops.shape(numbers)
    count = math.prod(shape[1:])
    rows = ops.reshape(numbers, (-1, count))
    # The rank of each number within its sample.
    ranks = ops.cast(ops.argsort(ops.argsort(rows, axis=1), axis=1), "int32")
    if isinstance(count, int):
        num_marked = int(count * share)
    else:
        # In float64, to round as the line above does.
        num_marked = ops.cast(ops.cast(count, "float64") * share, "int32")
    return ops.reshape(ranks < num_marked, (-1, *shape[1:]))


def spread_over_pixels(mask, grid_size, patch_size):
    """Turns a mask of patches into a mask of pixels.

    Args:
        mask: Tensor of shape `(batch, rows * columns)`.
        grid_size: Tuple of two integers, rows and columns of patches.
        patch_size: Integer. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch, height, width, 1)`.
    """
    mask = ops.reshape(mask, (-1, *grid_size, 1))
    for axis in (1, 2):
        mask = ops.repeat(mask, patch_size, axis=axis)
    return mask
