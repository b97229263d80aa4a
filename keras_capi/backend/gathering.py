"""Picking out, adding and splitting, in each backend's fast form."""

import itertools

from keras import ops

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND

# From which multiple of the batch on samples are so wide that to pick them out
# by a product costs little beside what a branch of a network does with them.
WIDE = 8

# What JAX need not look after in `take_samples` and `add_to_samples`.
_SAFE = {
    "mode": "promise_in_bounds",
    "unique_indices": True,
    "wrap_negative_indices": False,
}


def take_tokens(tokens, indices):
    """Gathers along axis 1, see `keras_capi.ops.gather_tokens`."""
    if BACKEND == "jax":
        # With sharded batches the flat form below becomes an all-reduce of its
        # whole output; this one stays on each device.
        return ops.take_along_axis(tokens, indices[..., None], axis=1)
    # On TensorFlow and torch `take_along_axis` is 10 to 50 times slower.
    batch_size, num_tokens, width = ops.shape(tokens)
    offsets = ops.arange(batch_size, dtype=indices.dtype) * num_tokens
    flat_tokens = ops.reshape(tokens, (-1, width))
    return ops.take(flat_tokens, indices + offsets[:, None], axis=0)


def split(x, sizes, axis):
    """Splits a tensor along an axis into parts of these sizes."""
    if BACKEND == "torch":
        # Keras's split cannot be exported. Slices can, but fill a tensor of the
        # whole size for the gradient of each.
        return x.split(sizes, axis)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Keras's split computes the sizes in the graph, in a dozen operations.
        return tf.split(x, list(sizes), axis)
    return ops.split(x, list(itertools.accumulate(sizes))[:-1], axis)


def take_samples(x, indices):
    """Gathers along the first axis.

    Args:
        x: Tensor of shape `(batch, ...)`.
        indices: Integer tensor of shape `(some,)`, without repetition. They
            must be in the range from 0.

    Returns:
        Tensor of shape `(some, ...)`.
    """
    if BACKEND == "jax":
        # Otherwise XLA checks each index again in whatever it fuses with this,
        # and compiles that anew for each block.
        return x.at[indices].get(**_SAFE)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        if _takes_products(x, indices):
            return _multiply(_selection(x, indices), x)
        # Keras's take looks for negative indices.
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
    """Whether to pick out samples by products with 0 and 1, which are exact.

    What gathers and scatters XLA compiles anew for each branch of a network and
    for its gradient; products are ready made. Accelerators round their factors.

    As 0 times NaN or infinity is NaN, one bad sample spoils all. It does so in
    any case at the end of the step: this is for training alone, where losses
    and gradients are means over the batch. The same step is named, or skipped
    where the loss is scaled; predictions stay apart.
    """
    return (
        all(isinstance(size, int) for size in (*x.shape, *indices.shape))
        and x.dtype.is_floating
        and x.shape[-1] >= WIDE * x.shape[0]
        and not has_accelerator()
    )


def _selection(x, indices):
    """Returns a matrix of shape `(some, batch)` that picks out samples."""
    return ops.one_hot(indices, x.shape[0], dtype=x.dtype)


def _multiply(matrix, x):
    product = ops.matmul(matrix, ops.reshape(x, (x.shape[0], -1)))
    return ops.reshape(product, (matrix.shape[0], *x.shape[1:]))
