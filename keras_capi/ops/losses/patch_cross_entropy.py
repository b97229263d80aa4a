"""Cross-entropy at the hidden patches of images."""

from keras import ops

from keras_capi.validation import check_positive


def patch_cross_entropy(targets, logits, mask, temperature):
    """Averages the cross-entropy over hidden patches, then over images.

    Each image counts the same, however many of its patches are hidden. One of
    which nothing is hidden counts as 0.

    Args:
        targets: Float tensor of shape `(..., patches, classes)`: probabilities.
        logits: Float tensor of the same shape: scores.
        mask: Boolean tensor of shape `(..., patches)`: which patches count.
        temperature: Float. Divides the logits.

    Returns:
        Float32 scalar tensor, in nats.

    Reference:

    - [iBOT](https://arxiv.org/abs/2111.07832), equation 2
    """
    check_positive("temperature", temperature)
    log_probabilities = ops.log_softmax(
        ops.cast(logits, "float32") / temperature, axis=-1
    )
    errors = -ops.sum(ops.multiply(targets, log_probabilities), axis=-1)
    weights = ops.cast(mask, "float32")
    counts = ops.maximum(ops.sum(weights, axis=-1), 1.0)
    return ops.mean(ops.sum(errors * weights, axis=-1) / counts)
