"""Sums and maxima over the replicas that share a batch.

Replicas are those of a `tf.distribute` strategy or of a torch process group.
JAX has none: there a step is written for the whole batch, and the compiler
splits it over the devices. With one replica every function is free.
"""

from keras import ops

from keras_capi import backend


def all_reduce_sum(x):
    """Sums a tensor over the replicas. It must not need a gradient.

    Args:
        x: Tensor, of the same shape on each replica.

    Returns:
        Tensor of the shape of `x`, the same on each replica.
    """
    return backend.all_reduce(x, "sum")


def all_reduce_max(x):
    """Takes the maximum over the replicas. It must not need a gradient.

    Args:
        x: Tensor, of the same shape on each replica.

    Returns:
        Tensor of the shape of `x`, the same on each replica.
    """
    return backend.all_reduce(x, "max")


def mean_batch_size(batch_size):
    """Averages the batch size over the replicas.

    A mean over a replica's batch, times its batch size over this average, makes
    a mean over replicas one over the global batch, however that was split.

    Args:
        batch_size: Integer or integer scalar tensor: the local batch size.

    Returns:
        Float32 scalar tensor, the same on each replica.
    """
    batch_size = ops.cast(batch_size, "float32")
    return all_reduce_sum(batch_size) / backend.replica()[1]


def average_over_replicas(scalars):
    """Averages scalars over the replicas, without a gradient.

    Args:
        scalars: Dictionary of float32 scalar tensors.

    Returns:
        Dictionary of scalars, the same on each replica.
    """
    _, num_replicas = backend.replica()
    if num_replicas == 1:
        return scalars
    # One message for all.
    stacked = ops.stop_gradient(ops.stack(list(scalars.values())))
    means = ops.unstack(all_reduce_sum(stacked) / num_replicas)
    return dict(zip(scalars, means, strict=True))


def take_share(x, axis):
    """Takes a replica's part of what was made for the global batch.

    Args:
        x: Tensor, the same on each replica. The size of `axis` is the number of
            replicas times the local batch size.
        axis: Integer, not negative. The axis of the batch.

    Returns:
        Tensor like `x`, with the local batch size in `axis`.
    """
    index, num_replicas = backend.replica()
    if num_replicas == 1:
        return x
    shape = ops.shape(x)
    local = shape[axis] // num_replicas
    split = (*shape[:axis], num_replicas, local, *shape[axis + 1 :])
    return ops.take(ops.reshape(x, split), index, axis=axis)
