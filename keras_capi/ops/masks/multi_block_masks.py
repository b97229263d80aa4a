"""Blocks to predict, and a context without them: I-JEPA's masks.

The blocks of one batch have the same sides, and differ only in their corners.
Here sides may differ between images, so that many batches can be drawn at once.
"""

from keras import ops

from keras_capi.ops.masks.block_masks import uniform_integers
from keras_capi.ops.tokens import gather_tokens

# Corners that are tried before another block to predict is ignored.
TRIES = 20


def correlated_block_sides(uniform, grid_size, scale, aspect_ratio, maths=ops):
    """Returns the sides of blocks; one number sets both area and shape.

    ```
    area = floor(rows * columns * (scale[0] + u (scale[1] - scale[0])))
    aspect = aspect_ratio[0] + u (aspect_ratio[1] - aspect_ratio[0])
    height = round(sqrt(area * aspect)), width = round(sqrt(area / aspect))
    ```

    So flat blocks are small ones. Sides are at least 1, and at most one less
    than those of the grid.

    Args:
        uniform: Float tensor of any shape, uniform in `[0, 1)`.
        grid_size: Tuple of two integers, rows and columns of patches.
        scale: Tuple of two floats. Bounds of the area as a share of the grid.
        aspect_ratio: Tuple of two floats. Bounds of height over width.
        maths: Module. `keras.ops`, or `numpy` for numbers known before a step
            is compiled. Defaults to `keras.ops`.

    Returns:
        Two float tensors of the shape of `uniform`, whole numbers: heights and
        widths.

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3 and appendix A.4
    """
    rows, columns = grid_size
    share = scale[0] + uniform * (scale[1] - scale[0])
    area = maths.floor(rows * columns * share)
    aspect = aspect_ratio[0] + uniform * (aspect_ratio[1] - aspect_ratio[0])
    sides = (maths.sqrt(area * aspect), maths.sqrt(area / aspect))
    return tuple(
        maths.clip(maths.round(side), 1, size - 1)
        for side, size in zip(sides, grid_size, strict=True)
    )


def place_blocks(uniform, sides, grid_size):
    """Places blocks at random positions.

    The corner is uniform, except that a block never touches the last row or
    column.

    Args:
        uniform: Float tensor of shape `(batch, blocks, 2)`, uniform in
            `[0, 1)`.
        sides: Tuple of two int32 tensors of shape `(batch or 1, 1)`: heights
            and widths.
        grid_size: Tuple of two integers, rows and columns of patches.

    Returns:
        Boolean tensor of shape `(batch, blocks, rows * columns)`.

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3 and appendix A.4
    """
    top, left = (
        uniform_integers(uniform[..., axis], size - side)
        for axis, (side, size) in enumerate(zip(sides, grid_size, strict=True))
    )
    return _rectangles(top, left, sides, grid_size)


def place_contexts(uniform, hidden, sides, grid_size, min_visible):
    """Places contexts where enough patches are free, and removes the others.

    The published code draws a corner again until more than `min_visible`
    patches are left; after every 20 draws it ignores another of the hidden
    blocks, the last ones first. Here there is no loop: the number of ignored
    blocks is drawn with the probability that it has there, and then one of the
    suitable corners.

    Args:
        uniform: Float tensor of shape `(batch, contexts, hidden blocks + 1)`,
            uniform in `[0, 1)`.
        hidden: Boolean tensor of shape `(batch, hidden blocks, rows *
            columns)`.
        sides: Tuple of two int32 tensors of shape `(batch or 1, 1)`: heights
            and widths, of more than `min_visible` patches.
        grid_size: Tuple of two integers, rows and columns of patches.
        min_visible: Integer.

    Returns:
        Boolean tensor of shape `(batch, contexts, rows * columns)`.

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3 and appendix A.4
    """
    free = _free_patches(hidden)
    suits = _suitable_corners(free, sides, grid_size, min_visible)
    counts = ops.sum(suits, axis=-1)
    rows, columns = (
        size - side for side, size in zip(sides, grid_size, strict=True)
    )
    misses = 1.0 - _as_float(counts[:, :-1]) / _as_float(rows * columns)
    # If nothing is hidden, all corners are suitable.
    fails = uniform[..., :-1] < ops.power(misses, TRIES)[:, None]
    num_ignored = ops.sum(
        ops.cumprod(ops.cast(fails, "int32"), axis=-1), axis=-1
    )
    suits, free = (gather_tokens(x, num_ignored) for x in (suits, free))
    count = gather_tokens(counts[..., None], num_ignored)
    number = uniform_integers(uniform[..., -1:], count)
    # The index of a suitable corner is the number of corners before it.
    corner = ops.sum(
        ops.cast(ops.cumsum(suits, axis=-1) <= number, "int32"), axis=-1
    )
    top, left = corner // grid_size[1], corner % grid_size[1]
    inside = _rectangles(top, left, sides, grid_size)
    return ops.logical_and(inside, free > 0)


def _as_float(x):
    return ops.cast(x, "float32")


def _free_patches(hidden):
    """Patches outside all hidden blocks, outside all but the last, and so on.

    Returns:
        Int32 tensor of shape `(batch, blocks + 1, patches)` of 0 and 1.
    """
    covered = ops.cumsum(ops.cast(hidden, "int32"), axis=1) > 0
    free = ops.cast(ops.logical_not(ops.flip(covered, axis=1)), "int32")
    return ops.pad(free, [[0, 0], [0, 1], [0, 0]], constant_values=1)


def _suitable_corners(free, sides, grid_size, min_visible):
    """Corners of blocks with more than `min_visible` free patches.

    Returns:
        Int32 tensor of the shape of `free`, 0 or 1.
    """
    shape = ops.shape(free)
    # Broadcast explicitly: in the products TensorFlow may crash on a CPU.
    in_rows, in_columns = (
        ops.broadcast_to(_spans(side, size)[:, None], (*shape[:2], size, size))
        for side, size in zip(sides, grid_size, strict=True)
    )
    counts = _as_float(ops.reshape(free, (*shape[:2], *grid_size)))
    counts = ops.matmul(in_rows, counts)
    counts = ops.matmul(counts, ops.swapaxes(in_columns, -1, -2))
    return ops.reshape(ops.cast(counts > min_visible, "int32"), shape)


def _spans(side, size):
    """Matrix with a row for each start of a block: 1 where the block is.

    Rows of starts that blocks cannot have are 0.

    Returns:
        Float32 tensor of shape `(batch or 1, size, size)`.
    """
    places = ops.arange(size, dtype="int32")
    start, side = places[:, None], side[..., None]
    inside = ops.logical_and(places >= start, places < start + side)
    return _as_float(ops.logical_and(inside, start < size - side))


def _rectangles(top, left, sides, grid_size):
    cells = ops.arange(grid_size[0] * grid_size[1], dtype="int32")
    row = cells // grid_size[1] - top[..., None]
    column = cells % grid_size[1] - left[..., None]
    height, width = (side[..., None] for side in sides)
    return ops.logical_and(
        ops.logical_and(row >= 0, row < height),
        ops.logical_and(column >= 0, column < width),
    )
