"""How unlikely colours are, if their logits have Laplace distributions."""

from keras import ops


def logit_laplace(targets, predictions, log_scales):
    """The negative logarithm of a density of values between 0 and 1.

    That of a variable whose logit has a Laplace distribution. Unlike a squared
    error it knows that colours end at black and white, and what is predicted
    includes how sure it is: of a value `x` with the predicted logit `m` and
    scale `s`, `|logit(x) - m| / s + log(2 s x (1 - x))`. As a density has no
    upper bound, the loss may be below 0.

    Args:
        targets: Float tensor of any shape, values above 0 and below 1.
        predictions: Float tensor of the same shape: logits, of which a sigmoid
            makes values.
        log_scales: Float tensor of the same shape: logarithms of scales.

    Returns:
        Float32 tensor of that shape, in nats, to be averaged.

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
