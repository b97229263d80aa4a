from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive


def soft_cross_entropy(assignments, logits, temperature):
    """Cross-entropy of predicted cluster probabilities with soft targets.

    Computes `-sum(assignments * log_softmax(logits / temperature))` over the
    clusters and averages over all other axes, in float32.

    Args:
        assignments: Float tensor of shape `(..., clusters)`. The targets.
        logits: Float tensor of the same shape. The predictions.
        temperature: Float. Divides the logits.

    Returns:
        Float32 scalar tensor, in nats.

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (losses)
    """
    check_positive("temperature", temperature)
    assignments = ops.cast(assignments, "float32")
    logits = ops.cast(logits, "float32") / temperature
    log_probabilities = ops.log_softmax(logits, axis=-1)
    return -ops.mean(ops.sum(assignments * log_probabilities, axis=-1))


@backend.compiled_function
def soft_cross_entropy_gradient(assignments, logits):
    """Sum of cross-entropies, and its gradient with respect to the logits.

    The sum of what `soft_cross_entropy` averages, for computing a batch in
    parts that need not stay in memory until the gradient is computed.

    Args:
        assignments: Float32 tensor of shape `(..., clusters)`. The targets.
        logits: Float32 tensor of the same shape. The predictions, already
            divided by their temperature.

    Returns:
        Tuple of a float32 scalar tensor, in nats, and a float32 tensor of the
        shape of `logits`.
    """
    log_probabilities = ops.log_softmax(logits, axis=-1)
    total = -ops.sum(assignments * log_probabilities)
    sums = ops.sum(assignments, axis=-1, keepdims=True)
    return total, ops.exp(log_probabilities) * sums - assignments


def entropy(probabilities):
    """Mean entropy of distributions over the last axis.

    Args:
        probabilities: Float tensor of shape `(..., clusters)`.

    Returns:
        Float32 scalar tensor, in nats: 0 if all distributions are certain, the
        logarithm of the number of clusters if all are uniform.
    """
    probabilities = ops.cast(probabilities, "float32")
    logarithms = ops.log(ops.maximum(probabilities, 1e-37))
    return -ops.mean(ops.sum(probabilities * logarithms, axis=-1))
