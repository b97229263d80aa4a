import math

import numpy as np
from keras import ops

from keras_capi.validation import check_aspect_ratios
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_positive_integer

# Uniform numbers for each block: aspect ratio, corner (2), roll (2).
NUMBERS_PER_BLOCK = 5


def block_sizes(
    uniform, area, grid_size, min_aspect_ratio=0.5, max_aspect_ratio=2.0
):
    """Samples the sides of blocks that have room for `area` patches.

    The aspect ratio (height over width) is log-uniform between its bounds,
    which are narrowed so that the block fits into the grid:

    ```
    height = ceil(sqrt(area * aspect)), width = ceil(sqrt(area / aspect))
    ```

    Args:
        uniform: Float tensor of any shape, uniform in `[0, 1)`.
        area: Integer. Number of patches that the block has to hold.
        grid_size: Tuple of two integers, rows and columns of patches.
        min_aspect_ratio: Float. Lower bound. Defaults to `0.5`.
        max_aspect_ratio: Float. Upper bound. Defaults to `2.0`.

    Returns:
        Two integer tensors of the shape of `uniform`: heights and widths, with
        `area <= height * width`.

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.3 (masking)
    """
    rows, columns = check_grid_size(grid_size)
    check_aspect_ratios(min_aspect_ratio, max_aspect_ratio)
    check_positive_integer("area", area)
    if area > rows * columns:
        raise ValueError(
            "`area` must not exceed the patches of the grid. Received: "
            f"area={area}, grid_size={grid_size}"
        )
    lowest = math.log(area / columns**2)
    highest = math.log(rows**2 / (area + 1e-5))
    low = min(max(math.log(min_aspect_ratio), lowest), highest)
    high = max(min(math.log(max_aspect_ratio), highest), low)
    aspect_ratio = ops.exp(low + uniform * (high - low))
    widths = ops.ceil(ops.sqrt(area / aspect_ratio))
    widths = ops.clip(widths, math.ceil(area / rows), columns)
    heights = ops.ceil(ops.sqrt(area * aspect_ratio))
    # Rounding must not push the block over the edge, nor leave it too small.
    heights = ops.clip(heights, ops.ceil(area / widths), rows)
    return ops.cast(heights, "int32"), ops.cast(widths, "int32")


def sample_blocks(
    uniform,
    area,
    grid_size,
    min_aspect_ratio=0.5,
    max_aspect_ratio=2.0,
    roll=True,
):
    """Samples one block of exactly `area` patches for each image.

    The corner of the block is uniform over all positions where it fits, its
    first `area` cells in row-major order are kept, and the whole grid is rolled
    cyclically by uniform offsets, so that all positions are equally likely.

    Args:
        uniform: Float tensor of shape `(batch, 5)`, uniform in `[0, 1)`.
        area: Integer. Number of patches in the block.
        grid_size: Tuple of two integers, rows and columns of patches.
        min_aspect_ratio: Float, see `block_sizes`. Defaults to `0.5`.
        max_aspect_ratio: Float, see `block_sizes`. Defaults to `2.0`.
        roll: Boolean. Whether to roll the grid. Defaults to `True`.

    Returns:
        Boolean tensor of shape `(batch, rows * columns)` with `area` entries
        `True` in each row.

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.3 (masking)
    """
    rows, columns = check_grid_size(grid_size)
    uniform = ops.convert_to_tensor(uniform)
    heights, widths = block_sizes(
        uniform[:, :1], area, grid_size, min_aspect_ratio, max_aspect_ratio
    )
    # Rows and columns alike, along the last axis.
    sides = ops.concatenate([heights, widths], axis=1)
    grid = ops.convert_to_tensor(np.array([rows, columns], "int32"))
    corners = uniform_integers(uniform[:, 1:3], grid - sides + 1)
    if roll:
        corners = corners + uniform_integers(uniform[:, 3:5], grid)
    cells = ops.convert_to_tensor(
        np.indices((rows, columns), "int32").reshape(2, -1).T
    )
    places = (cells - corners[:, None]) % grid
    inside = ops.all(places < sides[:, None], axis=-1)
    order = places[..., 0] * widths + places[..., 1]
    return inside & (order < area)


def uniform_integers(uniform, count):
    """Maps uniform numbers in `[0, 1)` to uniform integers in `[0, count)`.

    Args:
        uniform: Float tensor.
        count: Integer or integer tensor that broadcasts with `uniform`.

    Returns:
        Int32 tensor of the shape of `uniform`.
    """
    integers = ops.cast(uniform * ops.cast(count, uniform.dtype), "int32")
    # The product of a number just below 1 may be rounded up to `count`.
    return ops.minimum(integers, ops.cast(count, "int32") - 1)


def select_patches(is_visible, scores, num_visible, num_predict):
    """Lists visible patches and picks prediction positions among the others.

    Args:
        is_visible: Boolean tensor of shape `(batch, patches)` with
            `num_visible` entries `True` in each row.
        scores: Float tensor of shape `(batch, patches)`, uniform in `[0, 1)`.
            The masked patches with the highest scores are picked.
        num_visible: Integer.
        num_predict: Integer.

    Returns:
        Two int32 tensors: visible indices of shape `(batch, num_visible)`,
        ascending, and prediction indices of shape `(batch, num_predict)`.
    """
    num_patches = is_visible.shape[-1]
    _check_counts(num_visible, num_predict, num_patches)
    early = np.arange(num_patches, 0, -1, dtype="float32")
    visible_indices = _largest(
        ops.where(is_visible, early, -early), num_visible
    )
    predict_indices = _largest(ops.where(is_visible, -1.0, scores), num_predict)
    return visible_indices, predict_indices


def split_at_random(scores, num_visible, num_predict):
    """Picks visible patches and prediction positions uniformly at random.

    Args:
        scores: Float tensor of shape `(batch, patches)`, uniform in `[0, 1)`.
        num_visible: Integer.
        num_predict: Integer.

    Returns:
        Two int32 tensors of shapes `(batch, num_visible)` and
        `(batch, num_predict)`, without common entries in a row.
    """
    _check_counts(num_visible, num_predict, scores.shape[-1])
    picked = _largest(scores, num_visible + num_predict)
    return picked[:, :num_visible], picked[:, num_visible:]


def _check_counts(num_visible, num_predict, num_patches):
    check_positive_integer("num_visible", num_visible)
    check_positive_integer("num_predict", num_predict)
    if num_visible + num_predict > num_patches:
        raise ValueError(
            "`num_visible` and `num_predict` must not exceed the patches "
            f"together. Received: num_visible={num_visible}, "
            f"num_predict={num_predict}, patches {num_patches}"
        )


def _largest(scores, count):
    return ops.cast(ops.top_k(scores, count)[1], "int32")
