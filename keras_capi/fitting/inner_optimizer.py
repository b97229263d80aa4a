"""The optimizer that a loss scale wraps."""


def inner_optimizer(optimizer):
    """Returns the optimizer that updates the weights.

    In half precision Keras wraps it into one that scales the loss, which has no
    learning rate, schedule or groups of its own.

    Args:
        optimizer: A Keras optimizer, or `None`.
    """
    return getattr(optimizer, "inner_optimizer", optimizer)
