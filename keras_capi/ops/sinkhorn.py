import string

from keras import ops

from keras_capi.ops.collectives import all_reduce_max
from keras_capi.ops.collectives import all_reduce_sum


def sinkhorn_knopp(
    logits,
    num_iterations=3,
    epsilon=1e-8,
    sample_axis=-2,
    across_replicas=False,
):
    """Turns logits into soft assignments that use all clusters equally.

    Starting from `exp(logits)`, each iteration divides by the sums over the
    samples, so that every cluster gets the same total, and then by the sums
    over the clusters, so that every sample's assignment sums to 1. Balanced
    assignments keep online clustering from collapsing into a few clusters.

    The exponentials are shifted to a maximum of `exp(50)` in each cluster, the
    largest shift that leaves float32 room to sum over samples.

    Args:
        logits: Float tensor of shape `(..., samples, clusters)`, already
            divided by the target temperature.
        num_iterations: Integer. How often to balance. Defaults to `3`.
        epsilon: Float. Added to every divisor. Defaults to `1e-8`.
        sample_axis: Integer. The axis to balance over, so that positionwise
            balancing needs no transposed copy. Defaults to `-2`.
        across_replicas: Boolean. Whether the samples are those of all replicas
            of a distributed training step. Defaults to `False`.

    Returns:
        Tensor of the shape of `logits` in float32.

    Example:

    >>> logits = keras.random.normal((6, 3)) / 0.06
    >>> assignments = keras_capi.ops.sinkhorn_knopp(logits)
    >>> keras.ops.sum(assignments, axis=-1)  # six times 1.0

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (positional
      clustering)
    - [Cuturi, 2013](https://arxiv.org/abs/1306.0895)
    """
    logits = ops.cast(logits, "float32")
    axes = string.ascii_lowercase[: len(logits.shape)]
    samples = axes[:-1]
    sample = axes[sample_axis]
    clusters = axes.replace(sample, "")
    highest = ops.max(logits, axis=sample_axis, keepdims=True)
    if across_replicas:
        highest = all_reduce_max(highest)
    scores = ops.exp(logits - (highest - 50.0))
    # The assignments are the scores times a scale of each sample and one of
    # each cluster: balancing only needs to change these, and each sum is a
    # product of the scores with a vector.
    sample_scale = ops.ones_like(scores[..., 0])
    cluster_scale = 1.0
    for iteration in range(num_iterations):
        total = ops.einsum(
            f"{axes},{samples}->{clusters}", scores, sample_scale
        )
        if across_replicas:
            total = all_reduce_sum(total)
        cluster_scale = _balance(cluster_scale, total, epsilon)
        # Only the product of the two counts, and they drift apart.
        largest = ops.max(cluster_scale, axis=-1)
        cluster_scale /= largest[..., None]
        sample_scale *= ops.expand_dims(largest, axes.index(sample))
        if iteration < num_iterations - 1:
            total = ops.einsum(
                f"{axes},{clusters}->{samples}", scores, cluster_scale
            )
            sample_scale = _balance(sample_scale, total, epsilon)
    assignments = scores * ops.expand_dims(cluster_scale, sample_axis)
    # By a sum, since products may be of lower precision on accelerators.
    total = ops.sum(assignments, axis=-1)
    return assignments * _balance(sample_scale, total, epsilon)[..., None]


def _balance(scale, total, epsilon):
    """Rescales so that the total becomes 1, or stays 0."""
    return ops.where(total > 0, scale / (scale * total + epsilon), 0.0)
