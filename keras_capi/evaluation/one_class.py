"""Refuses labels of a single class."""


def refuse_one_class(name, labels):
    """Raises a `ValueError` if all labels are equal.

    Whatever the features, every prediction would then be that class, and right.

    Args:
        name: String. Name of the argument, for errors.
        labels: Integer array of training labels, at least one.
    """
    first = labels.flat[0]
    if (labels == first).all():
        raise ValueError(
            f"`{name}` must have at least 2 classes, or all predictions would "
            f"be one. Received: only class {first}, {labels.size} times"
        )
