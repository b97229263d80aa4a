"""Words that are drawn, with a gradient."""

from keras import ops

# So that no logarithm is infinite: the least positive number of float32.
SMALLEST = 1.2e-38


def exponential_noise(uniform):
    """Turns numbers that are uniform in `[0, 1)` into exponential ones."""
    return -ops.log(ops.maximum(1.0 - uniform, SMALLEST))


def gumbel_softmax(logits, noise, temperature, straight_through=False):
    """Returns a soft choice of one class, as if it were drawn.

    The lower the temperature, the nearer the result is to one class, and the
    more its gradient varies.

    Args:
        logits: Float tensor of shape `(..., classes)`: scores.
        noise: Float tensor of the same shape, from an exponential distribution.
        temperature: Float or scalar tensor.
        straight_through: Boolean. Whether to return the largest class alone,
            with the gradient of the soft choice. Defaults to `False`.

    Returns:
        Float32 tensor of that shape, of shares.

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
