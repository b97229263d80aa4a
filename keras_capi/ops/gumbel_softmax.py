"""Differentiable sampling of words."""

from keras import ops

# About the smallest positive normal float32, so that no logarithm is infinite.
SMALLEST = 1.2e-38


def exponential_noise(uniform):
    """Turns uniform numbers in `[0, 1)` into exponential noise."""
    return -ops.log(ops.maximum(1.0 - uniform, SMALLEST))


def gumbel_softmax(logits, noise, temperature, straight_through=False):
    """Draws a soft choice of one class, with a gradient.

    The lower the temperature, the closer the result is to a single class, and
    the higher the variance of the gradient.

    Args:
        logits: Float tensor of shape `(..., classes)`: scores.
        noise: Float tensor of the same shape, from an exponential distribution.
        temperature: Float or scalar tensor. Divides the noisy scores.
        straight_through: Boolean. Whether to return the most likely class only,
            with the gradient of the soft choice. Defaults to `False`.

    Returns:
        Float32 tensor of that shape: shares that sum to 1.

    Reference:

    - [Jang et al., 2016](https://arxiv.org/abs/1611.01144)
    """
    gumbel = -ops.log(ops.maximum(ops.cast(noise, "float32"), SMALLEST))
    scores = (ops.cast(logits, "float32") + gumbel) / temperature
    soft = ops.softmax(scores, axis=-1)
    if not straight_through:
        return soft
    best = ops.argmax(soft, axis=-1)
    hard = ops.one_hot(best, soft.shape[-1], dtype="float32")
    return hard + soft - ops.stop_gradient(soft)
