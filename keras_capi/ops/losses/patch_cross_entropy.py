"""Cross-entropy of the hidden patches of images."""

from keras import ops

from keras_capi.ops.losses.weighted_cross_entropy import weighted_cross_entropy


def patch_cross_entropy(targets, logits, mask, temperature):
    """Averages the cross-entropy over hidden patches, then over images.

    All images have the same weight, however many of their patches are hidden.
    An image without hidden patches counts as 0.

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
    hidden = ops.cast(mask, "float32")
    counts = ops.maximum(ops.sum(hidden, axis=-1, keepdims=True), 1.0)
    weights = hidden / (counts * ops.cast(ops.size(counts), "float32"))
    return weighted_cross_entropy(targets, logits, weights, temperature)
