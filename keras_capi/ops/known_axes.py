"""Comparison of shapes of which a data set may not tell all axes."""

from keras_capi.validation import is_integer


def may_match(shape, expected):
    """Returns whether two shapes can be the same.

    On TensorFlow, axes of a data set may be unknown while a step is compiled.

    Args:
        shape: Tuple of integers, and of `None` or symbolic tensors for lengths
            that are not known.
        expected: The same.
    """
    return len(shape) == len(expected) and all(
        size == other
        for size, other in zip(shape, expected, strict=True)
        if is_integer(size) and is_integer(other)
    )
