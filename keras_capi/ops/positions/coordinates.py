import numpy as np
from keras import ops

from keras_capi.validation import check_choice
from keras_capi.validation import check_grid_size
from keras_capi.validation import is_integer


def patch_coordinates(grid_size):
    """Returns the coordinates of the patches of an image in `[0, 1]`.

    The first and last rows have the coordinates 0 and 1, whatever the size of
    the image, so that neither a position table nor interpolation is needed.

    Args:
        grid_size: Rows and columns of patches, integers or scalar tensors.

    Returns:
        Float32 tensor of shape `(rows * columns, 2)`: row and column of each
        patch, in row-major order.

    Example:

    >>> keras_capi.ops.patch_coordinates((1, 3))  # [[0, 0], [0, .5], [0, 1]]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """
    grid_size = check_grid_size(grid_size)
    if all(map(is_integer, grid_size)):
        # Two dozen operations would take torch longer than an array.
        steps = (
            np.arange(size, dtype="float32") / max(size - 1, 1)
            for size in grid_size
        )
        table = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
        return ops.convert_to_tensor(table.reshape(-1, 2))
    rows, columns = ops.meshgrid(*map(_unit_steps, grid_size), indexing="ij")
    return ops.stack(
        [ops.reshape(rows, (-1,)), ops.reshape(columns, (-1,))], axis=-1
    )


def _unit_steps(size):
    steps = ops.arange(0, size, dtype="float32")
    # Not from `size`, which exporters would turn into a constant.
    return steps / ops.max(ops.append(steps, 1.0))


def register_coordinates(num_registers, kind="edge"):
    """Returns the coordinates of the register tokens in `[0, 1]`.

    Args:
        num_registers: Integer, divisible by 4. Number of registers.
        kind: `"edge"` spaces the registers evenly along the edge of the image,
            a quarter of them on each side; `"zeros"` puts all of them at the
            origin. Defaults to `"edge"`.

    Returns:
        NumPy array of shape `(num_registers, 2)` in float32.

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """
    if not is_integer(num_registers) or num_registers < 0 or num_registers % 4:
        raise ValueError(
            "`num_registers` must be divisible by 4, one part for each side "
            f"of the image. Received: num_registers={num_registers!r}"
        )
    check_choice("register_coordinates", kind, ("edge", "zeros"))
    if kind == "zeros":
        return np.zeros((num_registers, 2), "float32")
    side = num_registers // 4
    along = np.arange(side) / max(side, 1)
    start, end = np.zeros(side), np.ones(side)
    rows = np.concatenate([along, end, 1 - along, start])
    columns = np.concatenate([start, along, end, 1 - along])
    return np.stack([rows, columns], axis=-1).astype("float32")


def scale_to_bounding_box(coordinates, reference):
    """Scales coordinates in `[0, 1]` to the bounding box of others.

    Args:
        coordinates: Float tensor of shape `(tokens, 2)`.
        reference: Float tensor of shape `(..., others, 2)`, also in `[0, 1]`.

    Returns:
        Float32 tensor of shape `(..., tokens, 2)`.
    """
    coordinates, reference = (
        ops.cast(x, "float32") for x in (coordinates, reference)
    )
    above = below = reference
    if not is_integer(reference.shape[-2]):
        # Exporters from JAX do not support a minimum over an unknown number of
        # patches, which might be 0. The padding, 1 or 0, does not change the
        # result.
        padding = [(0, 0)] * (len(reference.shape) - 2) + [(0, 1), (0, 0)]
        above = ops.pad(reference, padding, constant_values=1.0)
        below = ops.pad(reference, padding)
    low = ops.min(above, axis=-2, keepdims=True)
    high = ops.max(below, axis=-2, keepdims=True)
    return low + coordinates * (high - low)
