"""A loss that is not dominated by large errors."""

from keras import ops

from keras_capi.validation import check_positive


def smooth_l1(targets, predictions, beta=1.0):
    """Half the square of small errors, the absolute value of large ones.

    For an error `e`, `e**2 / (2 beta)` where `|e| < beta`, else
    `|e| - beta / 2`.

    Args:
        targets: Float tensor of any shape.
        predictions: Float tensor of the same shape.
        beta: Float. The error from which the loss grows linearly. Defaults to
            `1.0`.

    Returns:
        Float32 tensor of that shape, not averaged.

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), whose code has `beta=1.0`
    - [data2vec](https://arxiv.org/abs/2202.03555), section 3.3
    """
    check_positive("beta", beta)
    error = ops.abs(
        ops.cast(predictions, "float32") - ops.cast(targets, "float32")
    )
    square = ops.square(error) * (0.5 / beta)
    return ops.where(error < beta, square, error - 0.5 * beta)
