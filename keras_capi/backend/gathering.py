"""Gathering, adding and splitting, in each backend's fastest form."""

import itertools

from keras import ops

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND

# From this multiple of the batch size, samples are so wide that selecting them
# by a matrix product is cheap compared with the branch of the network.
WIDE = 8

# Checks that JAX can skip in `take_samples` and `add_to_samples`.
_SAFE = {
    "mode": "promise_in_bounds",
    "unique_indices": True,
    "wrap_negative_indices": False,
}


def take_tokens(tokens, indices):
    """Gathers along axis 1, see `keras_capi.ops.gather_tokens`."""
    if BACKEND == "jax":
        # With sharded batches the flat form below would become an all-reduce of
        # the whole output; this one stays on each device.
        return ops.take_along_axis(tokens, indices[..., None], axis=1)
    # On TensorFlow and torch `take_along_axis` is 10 to 50 times slower.
    if BACKEND == "torch":
        import torch

        # Keras's take also looks for negative indices, with four more kernels.
        offsets = torch.arange(
            tokens.shape[0], dtype=indices.dtype, device=indices.device
        )
        places = indices + offsets[:, None] * tokens.shape[1]
        return torch.nn.functional.embedding(places, tokens.flatten(0, 1))
    batch_size, num_tokens, width = ops.shape(tokens)
    offsets = ops.arange(batch_size, dtype=indices.dtype) * num_tokens
    flat_tokens = ops.reshape(tokens, (-1, width))
    return ops.take(flat_tokens, indices + offsets[:, None], axis=0)


def take_rows(table, indices):
    """Looks up rows of a learnt table.

    A take alone would do the same, but TensorFlow's gradient is sparse then,
    with one slice for each use of a row. Keras's optimizers, like
    `keras.ops.square`, square the slices of a row one by one instead of their
    sum, so second moments and norms for clipping come out wrong. The gradient
    of a product is dense.

    Args:
        table: Variable or tensor of shape `(rows, ...)`.
        indices: Integer tensor of any shape.

    Returns:
        Tensor of the shape of `indices` and the further axes of the table.
    """
    return ops.take(ops.multiply(table, 1.0), indices, axis=0)


def split(x, sizes, axis):
    """Splits a tensor along an axis into parts of the given sizes."""
    if BACKEND == "torch":
        # Keras's split cannot be exported. Slices can, but the gradient of each
        # fills a tensor of the whole size.
        return x.split(sizes, axis)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Keras's split computes the sizes in the graph, with a dozen
        # operations.
        return tf.split(x, list(sizes), axis)
    return ops.split(x, list(itertools.accumulate(sizes))[:-1], axis)


def take_samples(x, indices):
    """Gathers along the first axis.

    Args:
        x: Tensor of shape `(batch, ...)`.
        indices: Integer tensor of shape `(some,)`, distinct and in `[0,
            batch)`.

    Returns:
        Tensor of shape `(some, ...)`.
    """
    if BACKEND == "jax":
        # Otherwise XLA checks each index again in whatever it fuses with this,
        # and compiles that separately for each block.
        return x.at[indices].get(**_SAFE)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        if _takes_products(x, indices):
            return _multiply(_selection(x, indices), x)
        # Keras's take also checks for negative indices.
        return tf.gather(x, indices)
    return ops.take(x, indices, axis=0)


def add_to_samples(x, indices, updates):
    """Adds tensors to some samples.

    Args:
        x: Tensor of shape `(batch, ...)`.
        indices: As for `take_samples`.
        updates: Tensor of shape `(some, ...)`.

    Returns:
        Tensor of the shape of `x`.
    """
    if BACKEND == "torch":
        return x.index_add(0, indices, updates)
    if BACKEND == "jax":
        return x.at[indices].add(updates, **_SAFE)
    if BACKEND == "tensorflow" and _takes_products(x, indices):
        selection = ops.transpose(_selection(x, indices))
        return x + _multiply(selection, updates)
    return ops.scatter_update(x, indices[:, None], updates, reduction="add")


def _takes_products(x, indices):
    """Returns whether to select samples by exact products with 0 and 1.

    XLA compiles gathers and scatters for each branch of a network and for its
    gradient, whereas matrix products are precompiled. On accelerators products
    would round.

    As 0 times NaN or infinity is NaN, one bad sample spoils all others. In
    training, which alone uses this, it would do so anyway at the end of the
    step, as losses and gradients are means over the batch. The error still
    names the right step, and with loss scaling the step is still skipped.
    Predictions do not mix samples.
    """
    return (
        all(isinstance(size, int) for size in (*x.shape, *indices.shape))
        and x.dtype.is_floating
        and x.shape[-1] >= WIDE * x.shape[0]
        and not has_accelerator()
    )


def _selection(x, indices):
    """Returns a matrix of shape `(some, batch)` that selects samples."""
    return ops.one_hot(indices, x.shape[0], dtype=x.dtype)


def _multiply(matrix, x):
    product = ops.matmul(matrix, ops.reshape(x, (x.shape[0], -1)))
    return ops.reshape(product, (matrix.shape[0], *x.shape[1:]))
