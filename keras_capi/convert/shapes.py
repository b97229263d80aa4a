"""Checks of the shapes of tensors, for several kinds of checkpoints."""

import re


def check_ranks(state, ranks):
    """Raises a `ValueError` unless the tensors that define sizes are valid.

    Args:
        state: Dictionary from name to array.
        ranks: Dictionary from name to the ranks that its array may have.
    """
    missing = sorted(set(ranks) - set(state))
    if missing:
        raise ValueError(f"The keys must be complete. Missing: {missing}")
    for key, allowed in ranks.items():
        shape = state[key].shape
        # The number of registers may be 0.
        sizes = shape[-1:] if key == "registers" else shape
        if len(shape) not in allowed or 0 in sizes:
            raise ValueError(
                f"`{key}` must have rank {allowed[-1]} and no empty axis. "
                f"Received: shape {shape}"
            )


def count_blocks(state, stack):
    """Returns the number of blocks whose weights are stored.

    Args:
        state: Dictionary from name to array.
        stack: String, the prefix of the blocks' numbers, such as `"blocks"`.
    """
    # As text, because a number in a file may have any length.
    numbers = {
        match[1]
        for key in state
        if (match := re.match(rf"{re.escape(stack)}\.(\d+)\.", key))
    }
    expected = {str(number) for number in range(len(numbers))}
    if numbers != expected:
        strangers = sorted(number[:20] for number in numbers - expected)
        raise ValueError(
            "The blocks must be numbered from 0 without a gap. "
            f"Received: {stack} {strangers[:5]} without "
            f"{sorted(expected - numbers)[:5]}"
        )
    return len(numbers)
