import math

from keras import ops

from keras_capi import backend
from keras_capi.ops.collectives import all_reduce_max
from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_integer

# A sample whose logits are all below this, relative to others, gets no share.
NOTHING = -1e8
# With a logit above this, float32 is accurate enough.
FAR = -50.0
# The published epsilon has no effect on larger sums over the clusters.
SMALL = 1e-3
# For methods whose authors add none: less than any sum over the clusters.
NO_EPSILON = 1e-30
# The largest ratio between the scales of two clusters.
LARGEST = 1e20


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
    over the clusters, so that the assignments of every sample sum to 1.
    Balanced assignments keep online clustering from collapsing into a few
    clusters.

    The exponentials are shifted to a maximum of `exp(50)` in each cluster, the
    largest shift that leaves float32 room to sum over samples, and in each
    sample, so that logits of any size give every sample an assignment. Only a
    sample whose logits are all 1e8 or more below the others', or `-inf`, takes
    no part: its assignments are 0.

    Args:
        logits: Float tensor of shape `(..., samples, clusters)`, already
            divided by the target temperature. A cluster that is `-inf` for all
            samples gets no assignments.
        num_iterations: Integer. Number of iterations. Defaults to `3`.
        epsilon: Float. Added to every divisor, except in the last step for
            samples with sums so small that it would matter. If that is the only
            iteration, it counts for all samples but those whose logits are all
            50 or more below the others'. Defaults to `1e-8`.
        sample_axis: Integer. The axis of the samples to balance over, so that
            positionwise balancing needs no transposed copy. Defaults to `-2`.
        across_replicas: Boolean. Whether to balance over the samples of all
            replicas of a distributed training step. Defaults to `False`.

    Returns:
        Float32 tensor of the shape of `logits`.

    Example:

    >>> logits = keras.random.normal((6, 3)) / 0.06
    >>> assignments = keras_capi.ops.sinkhorn_knopp(logits)
    >>> keras.ops.sum(assignments, axis=-1)  # six times 1.0

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (positional
      clustering)
    - [Cuturi, 2013](https://arxiv.org/abs/1306.0895)
    """
    check_positive_integer("num_iterations", num_iterations)
    check_positive("epsilon", epsilon)
    logits = ops.cast(logits, "float32")
    rank = len(logits.shape)
    if not is_integer(sample_axis) or sample_axis not in (
        *range(-rank, -1),
        *range(rank - 1),
    ):
        raise ValueError(
            "`sample_axis` must be an axis before the last, that of the "
            f"clusters. Received: sample_axis={sample_axis!r} for "
            f"logits.shape={tuple(logits.shape)}"
        )
    sample_axis = int(sample_axis) % rank
    cluster_axis = rank - 1
    highest = ops.max(logits, axis=sample_axis, keepdims=True)
    if across_replicas:
        highest = all_reduce_max(highest)
    highest = ops.where(highest > -math.inf, highest, 0.0)
    # The scores of a sample far below the others would all be 0.
    below = ops.max(logits - highest, axis=-1)
    is_far = ops.logical_and(below > NOTHING, below < FAR)
    below = ops.where(is_far, below, 0.0)
    scores = ops.exp(logits - (highest - 50.0 + below[..., None]))
    # The assignments are the scores times one scale for each sample and one for
    # each cluster. Balancing only changes these scales, and each sum is a
    # product of the scores with a vector.
    sample_scale = ops.exp(below)
    cluster_scale = 1.0
    for iteration in range(num_iterations):
        total = backend.weighted_sum(
            scores, sample_scale, sample_axis, cluster_axis
        )
        if across_replicas:
            total = all_reduce_sum(total)
        cluster_scale = _balance(cluster_scale, total, epsilon)
        cluster_scale = _without_lost(cluster_scale)
        # Only the product of the two scales matters, but they drift apart.
        largest = ops.max(cluster_scale, axis=-1)
        largest = ops.where(largest > 0, largest, 1.0)
        cluster_scale /= largest[..., None]
        sample_scale *= ops.expand_dims(largest, sample_axis)
        if iteration < num_iterations - 1:
            total = backend.weighted_sum(
                scores, cluster_scale, cluster_axis, sample_axis
            )
            sample_scale = _balance(sample_scale, total, epsilon)
    # A sample may only have scores in clusters that no other sample uses.
    cluster_scale = ops.maximum(cluster_scale, 1.0 / LARGEST)
    assignments = scores * ops.expand_dims(cluster_scale, sample_axis)
    # Summed, as products may have lower precision on accelerators.
    total = ops.sum(assignments, axis=-1)
    balanced = _balance(sample_scale, total, epsilon)
    # For samples with sums so small that epsilon would matter, the sum itself
    # is the divisor. One iteration is as published: only several make up for
    # epsilon, where a sample is not far from all others.
    is_small = sample_scale * total <= SMALL if num_iterations > 1 else is_far
    exact = ops.where(total > 0, 1.0 / ops.maximum(total, 1e-37), 0.0)
    scale = ops.where(is_small, exact, balanced)
    return assignments * scale[..., None]


def _balance(scale, total, epsilon):
    """Rescales so that the total becomes 1, or stays 0."""
    return ops.where(total > 0, scale / (scale * total + epsilon), 0.0)


def _without_lost(scale):
    """Drops clusters out of reach, whose scales would grow forever."""
    smallest = ops.min(
        ops.where(scale > 0, scale, math.inf), axis=-1, keepdims=True
    )
    return ops.where(scale > LARGEST * smallest, 0.0, scale)
