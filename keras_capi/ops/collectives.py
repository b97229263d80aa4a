"""Sums and maxima over the replicas that share a batch.

Replicas are those of a `tf.distribute` strategy or of a torch process group.
JAX has none: there a step is written for the whole batch, and the compiler
splits it over the devices. With a single replica these functions cost nothing.
"""

import math

from keras import ops

from keras_capi import backend


def all_reduce_sum(x):
    """Sums a tensor over the replicas, without a gradient.

    Args:
        x: Tensor, of the same shape on each replica.

    Returns:
        Tensor of the shape of `x`, the same on each replica.
    """
    return backend.all_reduce(x, "sum")


def all_reduce_max(x):
    """Takes the maximum over the replicas, without a gradient.

    Args:
        x: Tensor, of the same shape on each replica.

    Returns:
        Tensor of the shape of `x`, the same on each replica.
    """
    return backend.all_reduce(x, "max")


def global_means(means, batch_size):
    """Turns means over a replica's samples into those over the global batch.

    Args:
        means: Dictionary of float32 scalar tensors: means over this replica's
            samples, of which there may be more or fewer than on others, or
            none.
        batch_size: Integer or integer scalar tensor: the number of these
            samples.

    Returns:
        Tuple of: the means, weighted such that their average over the replicas
        is the mean over the global batch; that average, without a gradient; and
        the average batch size.
    """
    _, num_replicas = backend.replica()
    if num_replicas == 1:
        return means, means, batch_size
    batch_size = ops.cast(batch_size, "float32")
    average_size = all_reduce_sum(batch_size) / num_replicas
    share = batch_size / average_size
    # The mean of a replica without samples is undefined.
    weighted = {
        name: ops.where(share > 0, share * mean, 0.0)
        for name, mean in means.items()
    }
    # One message for all of them.
    stacked = ops.stop_gradient(ops.stack(list(weighted.values())))
    averages = ops.unstack(all_reduce_sum(stacked) / num_replicas)
    return weighted, dict(zip(means, averages, strict=True)), average_size


def take_share(x, axis):
    """Takes this replica's part of a tensor for the global batch.

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


def sum_with_gradient(x):
    """Sums a tensor over the replicas, with a gradient.

    Each replica has its own loss. The gradient is that of the mean of all
    losses, provided that gradients are averaged over the replicas in the end.

    Args:
        x: Tensor, of the same shape on each replica.

    Returns:
        Tensor of the shape of `x`, the same on each replica.
    """
    return backend.all_reduce_with_gradient(x)


def share_of_batch(batch_size):
    """Returns this replica's batch size, as a multiple of the average.

    Args:
        batch_size: Integer or integer scalar tensor.

    Returns:
        Float32 scalar tensor, or 1 if there is one replica.
    """
    _, num_replicas = backend.replica()
    if num_replicas == 1:
        return 1.0
    batch_size = ops.cast(batch_size, "float32")
    return batch_size * num_replicas / all_reduce_sum(batch_size)


def average_tensors(tensors):
    """Averages tensors over the replicas, in a single message.

    Args:
        tensors: List of float32 tensors, of the same shapes on each replica.
            They must not need a gradient.

    Returns:
        List of tensors, the same on each replica.
    """
    _, num_replicas = backend.replica()
    if num_replicas == 1:
        return list(tensors)
    flat = ops.concatenate([ops.reshape(x, (-1,)) for x in tensors])
    flat = all_reduce_sum(flat) / num_replicas
    sizes = [math.prod(x.shape) for x in tensors]
    parts = backend.split(flat, sizes, axis=0)
    return [
        ops.reshape(part, x.shape)
        for part, x in zip(parts, tensors, strict=True)
    ]


def gather_samples(x):
    """Gathers the samples of all replicas, with a gradient.

    Args:
        x: Float tensor of shape `(batch, ...)`. The number of samples may
            differ between replicas.

    Returns:
        Tuple of a tensor of shape `(all, ...)`, the same on each replica, and
        an integer tensor of shape `(batch,)`: the indices of this replica's
        samples in it. The gradient is that of `sum_with_gradient`.
    """
    batch_size = ops.shape(x)[0]
    indices = ops.arange(batch_size, dtype="int32")
    index, num_replicas = backend.replica()
    if num_replicas == 1:
        return x, indices
    replicas = ops.arange(num_replicas, dtype="int32")
    sizes = ops.where(replicas == index, batch_size, 0)
    sizes = all_reduce_sum(sizes)
    indices = indices + ops.sum(ops.where(replicas < index, sizes, 0))
    # This replica's samples in their places, and zeros in those of the others.
    placed = ops.scatter(indices[:, None], x, (ops.sum(sizes), *x.shape[1:]))
    return sum_with_gradient(placed), indices
