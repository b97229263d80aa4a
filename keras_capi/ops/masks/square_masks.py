from keras import ops

from keras_capi.ops.masks.block_masks import uniform_integers


def cover_with_squares(uniform, size, grid_size):
    """Covers patches of a grid with squares at random positions.

    The centres of the squares are uniform over all patches, and may coincide.
    What lies beyond the edge of the grid is cut off.

    Args:
        uniform: Float tensor of shape `(batch, squares)`, uniform in `[0, 1)`.
        size: Integer. Side of a square in patches.
        grid_size: Tuple of two integers, rows and columns of patches.

    Returns:
        Boolean tensor of shape `(batch, rows * columns)`, `True` where covered.
    """
    rows, columns = grid_size
    cells = ops.arange(rows * columns, dtype="int32")
    middles = uniform_integers(uniform, rows * columns)[..., None]
    row = cells // columns - middles // columns + size // 2
    column = cells % columns - middles % columns + size // 2
    inside = [
        ops.logical_and(offset >= 0, offset < size) for offset in (row, column)
    ]
    return ops.any(ops.logical_and(*inside), axis=1)
