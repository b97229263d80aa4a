"""A margin between colours and 0 and 1, where logits are infinite."""

from keras import ops

# As published, on each side.
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
    """Undoes `add_margin`, and clips the result to [0, 1].

    Args:
        colors: Float tensor of any shape.

    Returns:
        Tensor of the same shape.
    """
    return ops.clip((colors - MARGIN) / (1 - 2 * MARGIN), 0.0, 1.0)
