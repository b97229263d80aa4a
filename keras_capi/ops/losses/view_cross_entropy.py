"""Cross-entropy between different views of the same images."""

from keras import ops

from keras_capi.validation import check_positive


def view_cross_entropy(targets, logits, temperature):
    """Averages the cross-entropy over all pairs of different views.

    Args:
        targets: Float tensor of shape `(batch, teacher_views, classes)`:
            probabilities for the first views.
        logits: Float tensor of shape `(batch, views, classes)`: scores for all
            views, those of the targets first.
        temperature: Float. Divides the logits.

    Returns:
        Float32 scalar tensor: the mean over the batch and all pairs of a target
        and the logits of another view, in nats.

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), equation 3
    """
    check_positive("temperature", temperature)
    num_targets, num_views = targets.shape[1], logits.shape[1]
    log_probabilities = ops.log_softmax(
        ops.cast(logits, "float32") / temperature, axis=-1
    )
    # Of all views together, without that of the target itself.
    total = ops.sum(log_probabilities, axis=1, keepdims=True)
    others = total - log_probabilities[:, :num_targets]
    entropies = -ops.sum(ops.multiply(targets, others), axis=(1, 2))
    return ops.mean(entropies) / (num_targets * (num_views - 1))
