"""Refuses labels below 0, which would be a class of their own."""

import numpy as np


def refuse_negative_labels(name, labels, ignore_labels):
    """Raises a `ValueError` if labels are negative and not ignored.

    Many mark by -1 what has no label.

    Args:
        name: String. What the labels are.
        labels: Integer array.
        ignore_labels: Sequence of integers. Labels that do not count.
    """
    negative = labels[labels < 0]
    if not np.isin(negative, ignore_labels).all():
        raise ValueError(
            f"`{name}` must be 0 or more, or in masks among `ignore_labels`. "
            f"Received: {negative.min()}, ignore_labels={ignore_labels}"
        )
