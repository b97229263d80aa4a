"""Convolutions, in the form that is fastest on each backend."""

from keras import ops

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND

ARGUMENTS = {"padding": "same", "data_format": "channels_last"}


def grouped_convolution(x, kernel, num_groups):
    """Convolves groups of channels, each by itself.

    Args:
        x: Tensor of shape `(batch, rows, columns, channels)`.
        kernel: Tensor of shape `(height, width, channels / num_groups,
            filters)`.
        num_groups: Number of groups. Must divide channels and filters.

    Returns:
        Tensor of shape `(batch, rows, columns, filters)`.
    """
    if BACKEND == "torch" or has_accelerator():
        return ops.conv(x, kernel, **ARGUMENTS)
    # XLA takes 60 times as long for the gradient of that on CPUs.
    return _as_product(x, kernel, num_groups)


def _as_product(x, kernel, num_groups):
    """Computes a convolution as one matrix product for each group."""
    _, rows, columns, channels = ops.shape(x)
    height, width, depth, filters = kernel.shape
    x = ops.reshape(x, (-1, rows, columns, num_groups, channels // num_groups))
    x = ops.pad(
        ops.transpose(x, (3, 0, 1, 2, 4)),
        (
            (0, 0),
            (0, 0),
            ((height - 1) // 2, height // 2),
            ((width - 1) // 2, width // 2),
            (0, 0),
        ),
    )
    seen = [
        x[:, :, row : row + rows, column : column + columns]
        for row in range(height)
        for column in range(width)
    ]
    size = height * width * depth
    seen = ops.reshape(ops.concatenate(seen, axis=-1), (num_groups, -1, size))
    kernel = ops.reshape(kernel, (size, num_groups, filters // num_groups))
    outputs = ops.reshape(
        ops.matmul(seen, ops.transpose(kernel, (1, 0, 2))),
        (num_groups, -1, rows, columns, filters // num_groups),
    )
    return ops.reshape(
        ops.transpose(outputs, (1, 2, 3, 0, 4)), (-1, rows, columns, filters)
    )
