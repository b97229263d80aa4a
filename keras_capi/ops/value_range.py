import numpy as np


def check_value_range(name, values, end, what):
    """Raises a `ValueError` unless all integers are in `[0, end)`.

    Not all backends notice: an index that is too large may give NaN or the last
    value, and a negative one counts from the end. Only arrays and lists are
    checked: a tensor's values are unknown in a step, or on another device, and
    reading them would mean waiting.

    Args:
        name: String. The name of the input, for the error.
        values: Integer array, list or tensor of any shape, or `None`.
        end: Integer, or `None` if it is not known. The exclusive upper bound.
        what: String. What the values stand for, for the error.
    """
    if end is None or not isinstance(values, np.ndarray | list | tuple):
        return
    values = np.asarray(values)
    if values.size and not (values.min() >= 0 and values.max() < end):
        raise ValueError(
            f"`{name}` must be from 0 to {end - 1}, {what}. "
            f"Received: from {values.min()} to {values.max()}"
        )
