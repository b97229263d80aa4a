"""Refuses features that are NaN or infinite, as nothing can be told of them."""

import numpy as np


def check_finite(name, numbers):
    """Raises a `ValueError` if numbers are NaN or infinite.

    Args:
        name: String. What the numbers are, for the error.
        numbers: Float or array: the numbers, or their sum.
    """
    if not np.all(np.isfinite(numbers)):
        raise ValueError(
            f"The {name} must be finite. Received: NaN or infinite values, as "
            "features of a network have whose training has failed"
        )
