"""Which parts of a model a weights file holds."""

import re

import h5py

# State that a model may do without: training can start anew, and stochastic
# depth may have been turned off since.
DISPENSABLE = {"optimizer", "random_state"}


def check_stored_parts(model, store):
    """Raises a `ValueError` if a file holds weights that a model lacks.

    Keras would load the rest without a word: a model of fewer layers would get
    the first ones.

    Args:
        model: A `keras.Model`.
        store: What Keras hands to `model.load_own_variables`, from a file of
            weights, a `.keras` file or a sharded one.
    """
    strangers = [
        path
        for path in _stored_paths(store)
        if DISPENSABLE.isdisjoint(path) and not _has_part(model, path)
    ]
    if strangers:
        raise ValueError(
            "A model must have all layers of the file that it loads, or what "
            "the others have learned would be lost: give it the arguments of "
            "the model that was saved. Received: a file with "
            f"{'/'.join(strangers[0])} ({len(strangers)} such parts), which "
            f"{model.name!r} lacks"
        )


def _stored_paths(store):
    """Paths, relative to the model's, of all parts that have weights."""
    prefix = getattr(store, "_h5_entry_path", None)
    if prefix is None:
        # Not a file, but a dictionary of the model's own weights.
        return []
    if hasattr(store, "sharding_config"):
        names = [
            name.strip("/") for name in store.sharding_config["weight_map"]
        ]
    else:
        names = []

        def visit(name, part):
            if isinstance(part, h5py.Dataset):
                names.append(name.rpartition("/")[0])

        store.h5_file.visititems(visit)
    above = prefix.split("/") if prefix else []
    paths = dict.fromkeys(tuple(name.split("/")[:-1]) for name in names)
    start = len(above)
    return [path[start:] for path in paths if list(path[:start]) == above]


def _has_part(part, path):
    for name in path:
        if isinstance(part, dict | list | tuple):
            part = _named_items(part).get(name)
        else:
            part = getattr(part, name, None)
        if part is None:
            return False
    return True


def _named_items(container):
    """Names the items of a container as Keras does in files."""
    items = container.values() if isinstance(container, dict) else container
    named, counts = {}, {}
    for item in items:
        name = "container"
        if not isinstance(item, dict | list | tuple):
            name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(item).__name__)
            name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        count = counts[name] = counts.get(name, -1) + 1
        named[f"{name}_{count}" if count else name] = item
    return named
