"""Reads arrays and what stands beside them."""

import json
import pathlib

import numpy as np


def read_file(path):
    """Reads an `.npz` and the `.json` beside it.

    If there are masks of the sampler in a file beside it, such as
    `mae_masks.npz` beside `mae.npz`, they are read too.

    Args:
        path: Path of the `.npz`.

    Returns:
        Dictionary from names to arrays, and the contents of the `.json`. Its
        `"shapes"`, if there are any, are tuples of integers.
    """
    path = pathlib.Path(path)
    if path.stem.endswith("_masks") and not path.with_suffix(".json").exists():
        return _read_masks(path)
    with np.load(path, allow_pickle=False) as arrays:
        arrays = dict(arrays)
    description = json.loads(path.with_suffix(".json").read_text())
    if "shapes" in description:
        description["shapes"] = {
            name: tuple(size for size in _flat(entry) if isinstance(size, int))
            for name, entry in description["shapes"].items()
        }
    masks_path = path.with_name(f"{path.stem}_masks.npz")
    if masks_path.exists():
        masks, of_masks = _read_masks(masks_path)
        arrays |= masks
        description["masks"] = of_masks.get("masks", sorted(masks))
        if "shapes" in description:
            description["shapes"] |= of_masks.get("shapes", {})
    return arrays, description


def _read_masks(path):
    """Reads masks, whose names tell all where no `.json` is beside them."""
    if path.with_suffix(".json").exists():
        return read_file(path)
    with np.load(path, allow_pickle=False) as arrays:
        arrays = dict(arrays)
    shapes = {name: values.shape for name, values in arrays.items()}
    return arrays, {"masks": sorted(arrays), "shapes": shapes}


def _flat(entry):
    """What a list, such as `["float32", 4, 3]` or `[[4, 3], "float32"]` has."""
    for part in entry:
        yield from part if isinstance(part, list) else [part]


def under(arrays, prefix):
    """Returns the arrays whose names have a prefix, by the rest of the name."""
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def loaded_weights(arrays, centers):
    """Returns what the weights of a student and its teacher are, by name.

    Those of anything else are not loaded, and therefore not named.

    Args:
        arrays: Dictionary from name to array.
        centers: Sequence of strings, the names of the teacher's centers.
    """
    parts = ("weights/student.", "weights/teacher.")
    centers = {f"weights/{name}" for name in centers}
    return {
        name: "loaded into the model"
        for name in arrays
        if name.startswith(parts) or name in centers
    }


def named(prefix, arrays):
    """Returns arrays with a prefix before their names."""
    return {prefix + name: values for name, values in arrays.items()}


def channels_last(images):
    """Turns `(..., channels, rows, columns)` into Keras's layout."""
    return np.moveaxis(images, -3, -1)
