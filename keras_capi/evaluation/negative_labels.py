"""Refuses negative labels, which would count as a class."""

import numpy as np


def refuse_negative_labels(name, labels, ignore_labels):
    """Raises a `ValueError` if labels are negative and not ignored.

    Data sets often mark missing labels by -1.

    Args:
        name: String. Name of the argument, for errors.
        labels: Integer array.
        ignore_labels: Sequence of integers. Labels that are ignored.
    """
    negative = labels[labels < 0]
    if not np.isin(negative, ignore_labels).all():
        raise ValueError(
            f"`{name}` must be 0 or more, or in masks among `ignore_labels`. "
            f"Received: {negative.min()}, ignore_labels={ignore_labels}"
        )
