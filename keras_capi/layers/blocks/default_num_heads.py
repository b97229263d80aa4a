def default_num_heads(width):
    """Returns the number of heads of the paper's attentive probe for a width.

    Args:
        width: Integer. Width of the tokens.

    Returns:
        Integer, the smallest divisor of the width from `width // 64` on: heads
        of size 64 where the width allows.
    """
    smallest = max(width // 64, 1)
    return next(n for n in range(smallest, width + 1) if width % n == 0)
