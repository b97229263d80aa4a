"""Negative log-likelihood of colours whose logits follow a Laplace law."""

from keras import ops


def logit_laplace(targets, predictions, log_scales):
    """Returns the negative log-likelihood of values between 0 and 1.

    The logit of the values has a Laplace distribution. Unlike a squared error,
    this accounts for the limits of colours, black and white, and the prediction
    includes its uncertainty. For a value `x` with the predicted logit `m` and
    scale `s` it is `|logit(x) - m| / s + log(2 s x (1 - x))`. A density has no
    upper bound, so the loss may be negative.

    Args:
        targets: Float tensor of any shape, with values above 0 and below 1.
        predictions: Float tensor of the same shape: logits, which a sigmoid
            turns into values.
        log_scales: Float tensor of the same shape: logarithms of the scales.

    Returns:
        Float32 tensor of that shape, in nats, not averaged.

    Example:

    >>> colors = keras.random.uniform((2, 8, 8, 3), 0.1, 0.9)
    >>> zeros = keras.ops.zeros_like(colors)
    >>> keras_capi.ops.logit_laplace(colors, zeros, zeros).shape  # (2, 8, 8, 3)

    Reference:

    - [DALL-E](https://arxiv.org/abs/2102.12092), appendix A.3
    """
    targets, predictions, log_scales = (
        ops.cast(x, "float32") for x in (targets, predictions, log_scales)
    )
    low, high = ops.log(targets), ops.log1p(-targets)
    errors = ops.abs(low - high - predictions) * ops.exp(-log_scales)
    return errors + log_scales + ops.log(2.0) + low + high
