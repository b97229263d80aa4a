"""Weights between the authors' layout and ours, both ways."""

import numpy as np
from keras import ops


def to_numpy(tensor):
    return ops.convert_to_numpy(getattr(tensor, "value", tensor))


def assign(pairs):
    """Loads weights.

    Args:
        pairs: Iterable of a weight and its value in our layout.
    """
    for weight, value in pairs:
        weight.assign(value)


def in_their_layout(make_pairs, shapes, read=to_numpy):
    """Returns what is read from weights, under the authors' names.

    Where each number goes is seen by converting the numbers' places instead of
    the numbers, so that one function serves both directions.

    Args:
        make_pairs: Function from a dictionary, from the authors' name to
            array, to pairs of a weight and its value in our layout.
        shapes: Dictionary from the authors' name to shape.
        read: Function from weight to array. Defaults to the weight's value.

    Returns:
        Dictionary from the authors' name to array; NaN where no weight of ours
        belongs.
    """
    places, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        places[name] = np.arange(start, start + size).reshape(shape)
        start += size
    values = np.full(start, np.nan, "float32")
    for weight, place in make_pairs(places):
        values[place] = np.reshape(read(weight), place.shape)
    return {name: values[place] for name, place in places.items()}


def shapes_of(arrays):
    return {name: array.shape for name, array in arrays.items()}
