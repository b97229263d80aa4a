"""Refusing features that are no numbers, of which nothing can be told."""

import numpy as np


def check_finite(name, numbers):
    """Raises a `ValueError` if numbers are NaN or infinite.

    Args:
        name: String. What they are.
        numbers: Float or array: some, or their sum.
    """
    if not np.all(np.isfinite(numbers)):
        raise ValueError(
            f"The {name} must be finite. Received: NaN or infinite values, as "
            "features of a network have whose training has failed"
        )
