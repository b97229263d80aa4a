import numpy as np


def check_value_range(name, values, end, what):
    """Raises a `ValueError` unless all integers are in `[0, end)`.

    Not all backends notice: an index that is too large may give NaN or the last
    value, and a negative one counts from the end. Only arrays are checked: in a
    step, values are unknown, or reading them would mean waiting.

    Args:
        name: String. The name of the input, for the error.
        values: Integer array or tensor of any shape.
        end: Integer. The exclusive upper bound.
        what: String. What the values stand for, for the error.
    """
    if not isinstance(values, np.ndarray) or not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        raise ValueError(
            f"`{name}` must be from 0 to {end - 1}, {what}. "
            f"Received: from {low} to {high}"
        )
