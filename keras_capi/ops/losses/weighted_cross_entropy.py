"""Cross-entropy of samples with different weights."""

from keras import ops

from keras_capi.validation import check_positive


def weighted_cross_entropy(targets, logits, weights, temperature):
    """Returns the weighted sum of cross-entropies with soft targets.

    For padded samples, whose weight is 0, or for groups of samples that should
    count the same, however large they are.

    Args:
        targets: Float tensor of shape `(..., classes)`: probabilities.
        logits: Float tensor of the same shape: scores.
        weights: Float tensor of shape `(...,)`.
        temperature: Float. Divides the logits.

    Returns:
        Float32 scalar tensor, in nats.

    Example:

    >>> targets = keras.ops.array([[0.5, 0.5], [1.0, 0.0]])
    >>> weights = keras.ops.array([0.25, 0.75])
    >>> keras_capi.ops.weighted_cross_entropy(targets, targets, weights, 0.1)

    Reference:

    - [DINOv2](https://arxiv.org/abs/2304.07193), section 4 (patch-level
      objective)
    """
    check_positive("temperature", temperature)
    log_probabilities = ops.log_softmax(
        ops.cast(logits, "float32") / temperature, axis=-1
    )
    targets = ops.cast(targets, "float32")
    errors = -ops.sum(targets * log_probabilities, axis=-1)
    return ops.sum(errors * ops.cast(weights, "float32"))
