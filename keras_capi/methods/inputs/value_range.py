import numpy as np


def check_value_range(name, values, end, what):
    """Raises a `ValueError` unless integers are from 0 to below a number.

    Not all backends notice: an index that is too large gives NaN or the last
    value, a negative one that which it counts to from the end. Only arrays are
    looked at: in a step, values are not known, or waited for.

    Args:
        name: String. The name of the input, for the error.
        values: Integer array or tensor of any shape.
        end: Integer.
        what: String. What the values stand for.
    """
    if not isinstance(values, np.ndarray) or not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        raise ValueError(
            f"`{name}` must be from 0 to {end - 1}, {what}. "
            f"Received: from {low} to {high}"
        )
