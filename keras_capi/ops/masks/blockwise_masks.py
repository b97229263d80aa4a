import math

from keras import ops

from keras_capi.ops.masks.block_masks import uniform_integers

# Uniform numbers for each attempt: area, aspect ratio, corner (2).
NUMBERS_PER_ATTEMPT = 4


def sample_blockwise(
    uniform, targets, grid_size, min_area, max_area, aspect_ratios
):
    """Samples masks by adding one block after the other.

    A block has a random area between `min_area` and what is left of the target,
    a random shape and a random position. It is accepted if it fits, hides at
    least one more patch, and not more than the target allows; otherwise there
    is another attempt. A mask for which all attempts at a block fail ends
    before its target.

    All attempts at a block see the same mask, so they are judged in parallel.

    Args:
        uniform: Float tensor of shape `(batch, blocks, attempts, 4)`, uniform
            in `[0, 1)`. This is the largest number of blocks.
        targets: Float tensor of shape `(batch,)`. How many patches to hide. A
            mask never has more.
        grid_size: Tuple of two integers, rows and columns of patches.
        min_area: Float. Lower bound of the area of a block. If less is left of
            the target, the bounds swap roles.
        max_area: Float. Upper bound.
        aspect_ratios: Tuple of two floats: bounds of height over width.

    Returns:
        Boolean tensor of shape `(batch, rows * columns)`.

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), algorithm 1
    """
    rows, columns = grid_size
    lowest, highest = (math.log(bound) for bound in aspect_ratios)
    num_blocks = uniform.shape[1]

    def is_unfinished(number, masks, active):
        return ops.logical_and(number < num_blocks, ops.any(active))

    def add_block(number, masks, active):
        area, aspect, top, left = ops.unstack(uniform[:, number], 4, axis=-1)
        counts = ops.sum(masks, axis=(1, 2))
        room = ops.minimum(targets - counts, float(max_area))[:, None]
        area = ops.maximum(min_area + area * (room - min_area), 0.0)
        aspect = ops.exp(lowest + aspect * (highest - lowest))
        heights = ops.round(ops.sqrt(area * aspect))
        widths = ops.round(ops.sqrt(area / aspect))
        in_rows = _interval(top, heights, rows)
        in_columns = _interval(left, widths, columns)
        masked = ops.sum(ops.matmul(in_rows, masks) * in_columns, axis=-1)
        added = heights * widths - masked
        accepted = ops.logical_and(heights < rows, widths < columns)
        accepted = ops.logical_and(accepted, added > 0.0)
        accepted = ops.logical_and(accepted, added <= room)
        active = ops.logical_and(active, ops.any(accepted, axis=1))
        # The `argmax` of all zeros is the first.
        first = ops.argmax(ops.cast(accepted, "int32"), axis=1)
        taken = ops.one_hot(first, accepted.shape[1], dtype="float32")
        taken = taken * ops.cast(active, "float32")[:, None]
        in_rows = ops.sum(taken[..., None] * in_rows, axis=1)
        in_columns = ops.sum(taken[..., None] * in_columns, axis=1)
        block = in_rows[:, :, None] * in_columns[:, None, :]
        return number + 1, ops.maximum(masks, block), active

    first = ops.zeros((), "int32")
    masks = ops.zeros((ops.shape(targets)[0], rows, columns), "float32")
    _, masks, _ = ops.while_loop(
        is_unfinished, add_block, (first, masks, targets > 0.0)
    )
    return ops.reshape(masks > 0.0, (-1, rows * columns))


def _interval(uniform, lengths, size):
    """Returns which of `size` cells are in a randomly placed interval."""
    start = uniform_integers(uniform, size - lengths + 1)[..., None]
    end = start + ops.cast(lengths, "int32")[..., None]
    cells = ops.arange(size, dtype="int32")
    inside = ops.logical_and(cells >= start, cells < end)
    return ops.cast(inside, "float32")
