from keras import ops

from keras_capi import backend


def add_to_all(x, branch, arguments, scale):
    """Adds a residual branch, scaled for each sample.

    The "naive" form of stochastic depth: the branch is computed for all samples
    and multiplied by 0 or `1 / keep_rate`.

    Args:
        x: Tensor of shape `(batch, ...)`.
        branch: Function of `x` and `arguments` that returns a tensor of the
            shape of `x`.
        arguments: Sequence of further tensors that the branch takes.
        scale: Float tensor of shape `(batch,)`.

    Returns:
        Tensor of the shape of `x`.

    Reference:

    - [Huang et al., 2016](https://arxiv.org/abs/1603.09382)
    """
    scale = ops.reshape(scale, (-1,) + (1,) * (len(x.shape) - 1))
    return x + branch(x, *arguments) * ops.cast(scale, x.dtype)


def add_to_subset(x, branch, arguments, indices):
    """Adds a residual branch to some of the samples only, and scales it up.

    The "efficient" form of stochastic depth, as published for CAPI: the branch
    is not computed for the samples that skip it.

    Args:
        x: Tensor of shape `(batch, ...)`.
        branch: Function of `x` and `arguments` that returns a tensor of the
            shape of `x`, for any batch size.
        arguments: Sequence of further tensors that the branch takes, of shape
            `(batch, ...)`, or `(1, ...)` if all samples share one.
        indices: Integer tensor of shape `(kept,)`, without repetition: the
            samples that take the branch.

    Returns:
        Tensor of the shape of `x`.

    Reference:

    - [DINOv2](https://arxiv.org/abs/2304.07193), section 5 (efficient
      stochastic depth)
    """
    subset, *arguments = (
        tensor
        if tensor.shape[0] == 1
        else backend.take_samples(tensor, indices)
        for tensor in (x, *arguments)
    )
    scale = ops.shape(x)[0] / ops.shape(indices)[0]
    if ops.is_tensor(scale):
        scale = ops.cast(scale, x.dtype)
    residual = branch(subset, *arguments) * scale
    return backend.add_to_samples(x, indices, residual)


def num_kept(batch_size, rate):
    """Number of samples whose branch runs: `max(int(batch * (1 - rate)), 1)`.

    Args:
        batch_size: Integer, or integer scalar tensor if the batch size is
            unknown when a graph is built.
        rate: Float. Share of samples that skip the branch.

    Returns:
        Integer or integer scalar tensor.
    """
    if isinstance(batch_size, int):
        return max(int(batch_size * (1.0 - rate)), 1)
    # In float64, to round as the line above does.
    kept = ops.cast(batch_size, "float64") * (1.0 - rate)
    return ops.maximum(ops.cast(kept, "int32"), 1)
