"""Cross-entropy between different views of the same images."""

from keras import ops

from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive


def view_cross_entropy(targets, logits, temperature, target_views=None):
    """Averages the cross-entropy over all pairs of different views.

    Args:
        targets: Float tensor of shape `(batch, teacher_views, classes)`:
            probabilities.
        logits: Float tensor of shape `(batch, views, classes)`: scores for all
            views.
        temperature: Float. Divides the logits.
        target_views: Sequence of integers: the views that the targets are for.
            `None` is the first ones. Defaults to `None`.

    Returns:
        Float32 scalar tensor: the mean over the batch and all pairs of a target
        and the logits of another view, in nats.

    Raises:
        ValueError: If there is only one view, or an argument is out of range.

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), equation 3
    """
    check_positive("temperature", temperature)
    if target_views is not None:
        check_each("target_views", target_views, check_non_negative_integer)
    num_targets, num_views = targets.shape[1], logits.shape[1]
    if num_views < 2:
        raise ValueError(
            "There must be two views of each image or more, as one predicts "
            f"what is said of another. Received: {num_views} views"
        )
    log_probabilities = ops.log_softmax(
        ops.cast(logits, "float32") / temperature, axis=-1
    )
    # The sum over all views, minus that of the target's own view.
    total = ops.sum(log_probabilities, axis=1, keepdims=True)
    if target_views is None:
        own = log_probabilities[:, :num_targets]
    else:
        own = take_views(log_probabilities, target_views)
    others = total - own
    targets = ops.cast(targets, "float32")
    entropies = -ops.sum(targets * others, axis=(1, 2))
    return ops.mean(entropies) / (num_targets * (num_views - 1))


def take_views(values, views):
    """Selects some of the views.

    Args:
        values: Tensor of shape `(batch, all_views, ...)`.
        views: Sequence of integers.

    Returns:
        Tensor of shape `(batch, views, ...)`.
    """
    if max(views) >= values.shape[1]:
        raise ValueError(
            f"There must be views of the numbers {tuple(views)}, from 0. "
            f"Received: {values.shape[1]} views"
        )
    # Not `take`, whose gradient is slower.
    return ops.stack([values[:, view] for view in views], axis=1)
