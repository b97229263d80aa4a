import numpy as np
from keras import ops

from keras_capi.validation import check_grid_size
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer

# The parameter of the kernel with which torch resizes images and tables.
TORCH_CUBIC = -0.75
# With antialiasing.
PIL_CUBIC = -0.5


def sine_positions(grid_size, hidden_dim):
    """Returns fixed sine and cosine positions of the patches of an image.

    The first half of the channels encodes the column, the second half the row,
    each counted in patches: first the sines, then the cosines, of `hidden_dim /
    4` frequencies from 1 to almost 1 / 10000.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches.
        hidden_dim: Integer, divisible by 4. Width of the tokens.

    Returns:
        NumPy array of shape `(rows * columns, hidden_dim)` in float32,
        row-major.

    Raises:
        ValueError: If `hidden_dim` is not divisible by 4.

    Example:

    >>> keras_capi.ops.sine_positions((2, 3), 8).shape  # (6, 8)

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), section 4 and appendix A.1
    """
    grid_size = check_grid_size(grid_size)
    check_positive_integer("hidden_dim", hidden_dim)
    if hidden_dim % 4:
        raise ValueError(
            "`hidden_dim` must be divisible by 4 for sine positions. "
            f"Received: hidden_dim={hidden_dim}"
        )
    count = hidden_dim // 4
    frequencies = 10000.0 ** (-np.arange(count) / count)
    rows, columns = np.indices(grid_size).reshape(2, -1, 1)
    parts = (np.sin, np.cos)
    return np.concatenate(
        [wave(x * frequencies) for x in (columns, rows) for wave in parts],
        axis=1,
    ).astype("float32")


def resample_positions(
    table, grid_size, new_grid_size, offset=0.0, antialias=False
):
    """Resizes a table of patch positions bicubically.

    Args:
        table: Float tensor of shape `(rows * columns, hidden_dim)`, row-major.
        grid_size: Tuple of two integers, rows and columns of `table`.
        new_grid_size: The new rows and columns, integers or scalar tensors.
        offset: Float. Added to the new rows and columns when the scale is
            computed, as some authors do to avoid rounding problems: `0.1` in
            DINO, iBOT and DINOv2. Defaults to `0.0`.
        antialias: Boolean. Whether all positions count where an axis shrinks,
            as in DINOv2 with registers, instead of the four that are nearest.
            Defaults to `False`.

    Returns:
        Float32 tensor of shape `(new rows * new columns, hidden_dim)`. If the
        grids are the same, the table itself, whatever the offset.

    Raises:
        ValueError: If the table is not of that grid.

    Example:

    >>> table = keras.random.normal((4, 8))
    >>> keras_capi.ops.resample_positions(table, (2, 2), (3, 2)).shape  # (6, 8)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), whose code has the offset
    """
    grid_size = check_grid_size(grid_size)
    check_non_negative("offset", offset)
    new_grid_size = check_grid_size(new_grid_size, "new_grid_size")
    _check_table(table, grid_size)
    table = ops.cast(table, "float32")
    if all(isinstance(size, int) for size in new_grid_size):
        if new_grid_size == grid_size:
            return table
    elif offset:
        # Sizes that are only known when the graph runs.
        same = [
            ops.equal(_centers_and_count(new)[1], float(old))
            for new, old in zip(new_grid_size, grid_size, strict=True)
        ]
        offset = ops.where(ops.logical_and(*same), 0.0, offset)
    rows, columns = (
        cubic_interpolation_matrix(old, new, offset, antialias)
        for old, new in zip(grid_size, new_grid_size, strict=True)
    )
    width = table.shape[-1]
    table = ops.reshape(table, (*grid_size, width))
    table = ops.einsum("ir,rcd->icd", rows, table)
    table = ops.einsum("jc,icd->ijd", columns, table)
    return ops.reshape(table, (-1, width))


def cubic_interpolation_matrix(size, new_size, offset=0.0, antialias=False):
    """Returns the matrix that resizes one axis like torch's bicubic mode.

    A row holds the weights of one output: the cubic kernel with `a = -0.75`
    between half-pixel centres, with edge values repeated. With antialiasing, as
    torch has it, `a` is -0.5, the kernel is widened where the axis shrinks, and
    what lies beyond the edges does not count. Each row sums to 1.

    Args:
        size: Integer. Values along the axis.
        new_size: Integer or integer scalar tensor. Values of the result.
        offset: Float or scalar tensor. The scale is
            `(new_size + offset) / size`. Defaults to `0.0`.
        antialias: Boolean. Defaults to `False`.

    Returns:
        Float32 tensor of shape `(new_size, size)`.
    """
    centers, count = _centers_and_count(new_size)
    scale = (count + offset) / size
    if antialias:
        # An axis whose size stays the same is left alone.
        scale = ops.where(ops.equal(count, float(size)), 1.0, scale)
    centers = (centers / scale - 0.5)[:, None]
    if antialias:
        distances = ops.abs(centers - ops.arange(0, size, dtype="float32"))
        weights = _cubic_kernel(distances * ops.minimum(scale, 1.0), PIL_CUBIC)
        return weights / ops.sum(weights, axis=1, keepdims=True)
    near = ops.floor(centers) + ops.arange(-1.0, 3.0, dtype="float32")
    weights = _cubic_kernel(ops.abs(centers - near))
    places = ops.clip(near, 0.0, size - 1.0)
    hits = ops.equal(places[..., None], ops.arange(0, size, dtype="float32"))
    return ops.sum(ops.where(hits, weights[..., None], 0.0), axis=1)


def _centers_and_count(size):
    centers = ops.arange(0, size, dtype="float32") + 0.5
    # Not from `size`, which exporters would turn into a constant.
    return centers, ops.max(ops.append(centers, 0.5)) + 0.5


def _cubic_kernel(x, a=TORCH_CUBIC):
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    return ops.where(x <= 1.0, near, ops.where(x < 2.0, far, 0.0))


def interpolate_positions(table, grid_size, coordinates):
    """Looks up positions by coordinates, with bilinear interpolation.

    Args:
        table: Float tensor of shape `(rows * columns, hidden_dim)`, row-major.
        grid_size: Tuple of two integers, rows and columns of `table`.
        coordinates: Float tensor of shape `(..., 2)`: row and column in `[0,
            1]`, where 0 and 1 are the first and last of the table.

    Returns:
        Float32 tensor of shape `(..., hidden_dim)`.

    Raises:
        ValueError: If the table is not of that grid.

    Example:

    >>> table = keras.random.normal((6, 8))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))
    >>> keras_capi.ops.interpolate_positions(table, (2, 3), coordinates)
    """
    grid_size = check_grid_size(grid_size)
    _check_table(table, grid_size)
    shares = []
    for axis, size in enumerate(grid_size):
        places = ops.cast(coordinates[..., axis], "float32") * (size - 1)
        steps = ops.arange(0, size, dtype="float32")
        distances = ops.abs(places[..., None] - steps)
        shares.append(ops.maximum(1.0 - distances, 0.0))
    weights = shares[0][..., :, None] * shares[1][..., None, :]
    shape = (*ops.shape(coordinates)[:-1], table.shape[0])
    return ops.matmul(ops.reshape(weights, shape), ops.cast(table, "float32"))


def _check_table(table, grid_size):
    rows, columns = grid_size
    if len(table.shape) != 2 or table.shape[0] != rows * columns:
        raise ValueError(
            f"`table` must have a row for each of {rows} x {columns} patches. "
            f"Received: table.shape={tuple(table.shape)}"
        )


def patch_cells(grid_size):
    """Returns the row and column of each patch of an image.

    Args:
        grid_size: Rows and columns of patches, integers or scalar tensors.

    Returns:
        Float32 tensor of shape `(rows * columns, 2)`, in row-major order: whole
        numbers.

    Example:

    >>> keras_capi.ops.patch_cells((1, 3))  # [[0, 0], [0, 1], [0, 2]]
    """
    rows, columns = (
        ops.arange(0, size, dtype="float32")
        for size in check_grid_size(grid_size)
    )
    rows, columns = ops.meshgrid(rows, columns, indexing="ij")
    return ops.stack(
        [ops.reshape(rows, (-1,)), ops.reshape(columns, (-1,))], axis=-1
    )


def relative_position_index(cells, grid_size, num_prefix_tokens=0):
    """Returns the row in a table of biases for each pair of tokens.

    With `R * C` patches, query `(r, c)` and key `(s, t)` have row `(r - s + R -
    1) * (2 C - 1) + (c - t + C - 1)`. After these `(2 R - 1) * (2 C - 1)` rows
    come three for prefix tokens: as queries of patches, as keys of patches, and
    among themselves.

    Args:
        cells: Tensor of shape `(batch, tokens, 2)`: row and column of each
            patch, whole numbers.
        grid_size: Tuple of two integers: the largest numbers of rows `R` and
            columns `C`.
        num_prefix_tokens: Integer. Number of tokens before the patches.
            Defaults to `0`.

    Returns:
        Int32 tensor of shape `(batch, prefix + tokens, prefix + tokens)`.

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), whose code has the last three
    """
    rows, columns = check_grid_size(grid_size)
    check_non_negative_integer("num_prefix_tokens", num_prefix_tokens)
    cells = ops.cast(cells, "int32")
    offsets = cells[:, :, None] - cells[:, None]
    index = (offsets[..., 0] + rows - 1) * (2 * columns - 1)
    index = index + offsets[..., 1] + columns - 1
    if not num_prefix_tokens:
        return index
    first = (2 * rows - 1) * (2 * columns - 1)
    before = (num_prefix_tokens, 0)
    index = ops.pad(index, ((0, 0), (0, 0), before), constant_values=first + 1)
    index = ops.pad(index, ((0, 0), before, (0, 0)), constant_values=first)
    is_prefix = ops.arange(ops.shape(index)[1]) < num_prefix_tokens
    both = ops.logical_and(is_prefix[:, None], is_prefix)
    return ops.where(both, first + 2, index)
