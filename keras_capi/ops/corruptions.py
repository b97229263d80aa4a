"""Which values of images a corruption takes away."""

from keras import ops

from keras_capi.ops.tokens import join_patches


def mark_smallest(numbers, share):
    """Marks the smallest numbers of each sample, an exact count of them.

    Args:
        numbers: Float tensor of shape `(batch, ...)`, the other sizes known.
        share: Float in `[0, 1]`. Of `n` numbers `int(n * share)` are marked.

    Returns:
        Boolean tensor of that shape.
    """
    rows = ops.reshape(numbers, (ops.shape(numbers)[0], -1))
    # How many numbers of the sample come before each one, in their order.
    ranks = ops.argsort(ops.argsort(rows, axis=1), axis=1)
    return ops.reshape(ranks < int(rows.shape[1] * share), ops.shape(numbers))


def spread_over_pixels(mask, grid_size, patch_size, num_channels):
    """Turns a mask of patches into one of the values of all their pixels.

    Args:
        mask: Tensor of shape `(batch, rows * columns)`.
        grid_size: Tuple of two integers, rows and columns of patches.
        patch_size: Integer. Side of a patch in pixels.
        num_channels: Integer.

    Returns:
        Tensor of shape `(batch, height, width, num_channels)`.
    """
    values = ops.repeat(mask[..., None], patch_size**2 * num_channels, axis=-1)
    return join_patches(values, patch_size, grid_size)
