"""Resamples tables of relative positions for images of other sizes."""

import numpy as np
from keras import ops

from keras_capi.validation import check_grid_size

# The bounds of the search for the ratio of the distances between nodes.
RATIOS = (1.01, 1.5)
PRECISION = 1e-6


def resample_relative_positions(table, grid_size, new_grid_size):
    """Resamples a table of biases for images of another size, as in BEiT.

    The offsets of the table are spread over those of the larger image in a
    geometric progression: near offsets keep their distances, far ones move
    further apart. A cubic spline through them is evaluated at each whole
    offset.

    Args:
        table: Array of shape `((2 * rows - 1) * (2 * columns - 1) + rest,
            num_heads)`, as of `keras_capi.layers.RelativePositionBias`.
        grid_size: Tuple of two integers, rows and columns of patches.
        new_grid_size: Tuple of two integers, the same for the other images.

    Returns:
        NumPy array like `table` for the new grid, in float32. The `rest`, the
        rows of prefix tokens, stays the same. If the grids are the same, the
        table itself.

    Example:

    >>> table = np.random.rand(7 * 7 + 3, 2)
    >>> keras_capi.ops.resample_relative_positions(
    ...     table, (4, 4), (5, 6)
    ... ).shape  # (102, 2)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), whose code has it
    """
    grid_size = check_grid_size(grid_size)
    new_grid_size = check_grid_size(new_grid_size, "new_grid_size")
    table = ops.convert_to_numpy(table).astype("float32", copy=False)
    if grid_size == new_grid_size:
        return table
    rows, columns = (2 * size - 1 for size in grid_size)
    if table.ndim != 2 or len(table) < rows * columns:
        raise ValueError(
            f"`table` must have at least {rows * columns} rows for a grid of "
            f"{grid_size}. Received: shape {table.shape}"
        )
    offsets = table[: rows * columns].reshape(rows, columns, -1)
    matrices = (
        _spline_matrix(_nodes(old, new), np.arange(1.0 - new, new))
        for old, new in zip(grid_size, new_grid_size, strict=True)
    )
    offsets = np.einsum("ir,jc,rch->ijh", *matrices, offsets, optimize=True)
    return np.concatenate(
        [
            offsets.reshape(-1, table.shape[1]).astype("float32"),
            table[rows * columns :],
        ]
    )


def _nodes(size, new_size):
    """The new positions of the offsets `1 - size ... size - 1`."""
    count = size - 1
    low, high = RATIOS
    ratio = high
    while high - low > PRECISION:
        ratio = (low + high) / 2
        if (1 - ratio**count) / (1 - ratio) > new_size - 1:
            high = ratio
        else:
            low = ratio
    distances = np.cumsum(ratio ** np.arange(count))
    return np.concatenate([-distances[::-1], [0.0], distances])


def _spline_matrix(nodes, places):
    """The matrix from values at nodes to those of their cubic spline elsewhere.

    It is constant beyond the outermost nodes. With too few nodes for a spline,
    it is a single polynomial.
    """
    count, places = len(nodes), np.clip(places, nodes[0], nodes[-1])
    if count < 4:
        powers = np.arange(count)
        at_nodes = nodes[:, None] ** powers
        return (places[:, None] ** powers) @ np.linalg.inv(at_nodes)
    gaps = np.diff(nodes)
    slopes = np.diff(np.eye(count), axis=0) / gaps[:, None]
    # For the second derivatives at the nodes. The third derivatives are
    # continuous at the second node and the last but one.
    system = np.zeros((count, count))
    inner = np.arange(1, count - 1)
    system[inner, inner - 1] = gaps[:-1]
    system[inner, inner] = 2 * (gaps[:-1] + gaps[1:])
    system[inner, inner + 1] = gaps[1:]
    system[0, :3] = gaps[1], -gaps[0] - gaps[1], gaps[0]
    system[-1, -3:] = gaps[-1], -gaps[-2] - gaps[-1], gaps[-2]
    sides = np.zeros((count, count))
    sides[1:-1] = 6 * np.diff(slopes, axis=0)
    curvature = np.linalg.solve(system, sides)
    left = np.clip(np.searchsorted(nodes, places) - 1, 0, count - 2)
    gap = gaps[left][:, None]
    after = (places - nodes[left])[:, None]
    before = gap - after
    values = np.eye(count)
    return (
        (values[left] * before + values[left + 1] * after) / gap
        + curvature[left] * (before**3 / gap - before * gap) / 6
        + curvature[left + 1] * (after**3 / gap - after * gap) / 6
    )
