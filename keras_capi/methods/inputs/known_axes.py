"""Comparison of shapes of which a data set may not tell all axes."""


def may_match(shape, expected):
    """Returns whether two shapes can be the same.

    On TensorFlow, axes of a data set may be unknown while a step is compiled.

    Args:
        shape: Tuple of integers or `None`, which stands for any length.
        expected: The same.
    """
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(shape, expected, strict=True)
    )
