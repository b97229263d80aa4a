"""Checks of what a method computes and of how it is compiled."""

import keras
from keras import ops


def check_losses(losses, loss_weights):
    """Raises a `ValueError` unless losses are named scalars, the weighted all.

    Otherwise subclasses with a mistake would fail with errors from elsewhere,
    or, on some backends, train nothing and not say so.

    Args:
        losses: What `compute_losses` returned.
        loss_weights: The `loss_weights` of the method.
    """
    if not isinstance(losses, dict):
        raise ValueError(
            "`compute_losses` must return a dictionary of scalars. "
            f"Received: {type(losses).__name__}"
        )
    if not loss_weights or not loss_weights.keys() <= losses.keys():
        raise ValueError(
            "`loss_weights` must name the losses to minimise, all of them "
            "among what `compute_losses` returns. Received: "
            f"loss_weights={loss_weights}, losses {sorted(losses)}"
        )
    for name, value in losses.items():
        # `None`: not known, on TensorFlow.
        if ops.ndim(value) not in (0, None):
            raise ValueError(
                "`compute_losses` must return scalars: take the mean over the "
                f"batch. Received: {name!r} of shape {tuple(value.shape)}"
            )


def nan_if_not_finite(loss, inputs):
    """Returns a loss, or NaN if any of a batch's numbers is not finite.

    Some methods would not notice it: colours become numbers of words and
    clusters, and hidden patches are replaced.

    Args:
        loss: Float scalar tensor.
        inputs: Structure of tensors: the batch.
    """
    for x in keras.tree.flatten(inputs):
        if keras.backend.is_float_dtype(x.dtype):
            # A sum shows it, too, in a fraction of the time of a look at each.
            total = ops.sum(ops.cast(x, "float32"))
            loss = ops.where(ops.isfinite(total), loss, float("nan"))
    return loss


def check_compiled_alone(
    model,
    loss=None,
    loss_weights=None,
    metrics=None,
    weighted_metrics=None,
    **others,
):
    """Raises a `ValueError` if a method is compiled with a loss or metrics.

    Args:
        model: The method.
        loss: As given to `compile`.
        loss_weights: The same.
        metrics: The same.
        weighted_metrics: The same.
        **others: Other arguments of `compile`.
    """
    if loss is not None:
        raise ValueError(
            f"{type(model).__name__} computes its own losses; call `compile` "
            f"without `loss`. Received: loss={loss}"
        )
    if loss_weights is not None:
        # Keras would not use them without a loss.
        raise ValueError(
            f"{type(model).__name__} weighs its own losses; call `compile` "
            "without `loss_weights`, and set them by the arguments of the "
            "method, or as the attribute `loss_weights` of a subclass. "
            f"Received: loss_weights={loss_weights}"
        )
    for name, given in (
        ("metrics", metrics),
        ("weighted_metrics", weighted_metrics),
    ):
        if given:
            raise ValueError(
                f"{type(model).__name__} learns without labels, which "
                f"`{name}` compare with; call `compile` without them, and "
                "score the features by `keras_capi.callbacks.KNNEvaluation`. "
                f"Received: {name}={given}"
            )
