def default_num_heads(width):
    """Returns how many heads attentive probes of the paper have for a width.

    Args:
        width: Integer. Width of the tokens.

    Returns:
        Integer that divides the width: for heads of size 64, or of the nearest
        size below it; one head where the width has no such divisor.
    """
    smallest = max(width // 64, 1)
    return next(n for n in range(smallest, width + 1) if width % n == 0)
