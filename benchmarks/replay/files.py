"""Reads arrays and what stands beside them."""

import json
import pathlib

import numpy as np


def read_arrays(path):
    """Returns the arrays of an `.npz` file by their names."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def read_description(path):
    """Returns the contents of the `.json` beside an `.npz`."""
    return json.loads(pathlib.Path(path).with_suffix(".json").read_text())


def under(arrays, prefix):
    """Returns the arrays whose names have a prefix, by the rest of the name."""
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def named(prefix, arrays):
    """Returns arrays with a prefix before their names."""
    return {prefix + name: values for name, values in arrays.items()}


def channels_last(images):
    """Turns `(..., channels, rows, columns)` into Keras's layout."""
    return np.moveaxis(images, -3, -1)
