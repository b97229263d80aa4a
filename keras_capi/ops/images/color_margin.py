"""Colours a little away from black and white, where a logit has no value."""

from keras import ops

# As published, on either side.
MARGIN = 0.1


def add_margin(colors):
    """Shrinks colours from [0, 1] to [0.1, 0.9].

    Args:
        colors: Float tensor of any shape.

    Returns:
        Tensor of the same shape.

    Reference:

    - [DALL-E](https://arxiv.org/abs/2102.12092), appendix A.3
    """
    return colors * (1 - 2 * MARGIN) + MARGIN


def remove_margin(colors):
    """Undoes `add_margin`, and cuts off what is beyond [0, 1] then.

    Args:
        colors: Float tensor of any shape.

    Returns:
        Tensor of the same shape.
    """
    return ops.clip((colors - MARGIN) / (1 - 2 * MARGIN), 0.0, 1.0)
