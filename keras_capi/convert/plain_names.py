"""Strips the names of weights of what training code added to them."""

import re

# Where a checkpoint keeps the weights, if not at the top level.
CONTAINERS = re.compile(r"^((model|state_dict)\.)+")
# What wrappers for sharding, compilation and rematerialisation add to names.
WRAPPERS = re.compile(
    r"\b(module|_orig_mod|_checkpoint_wrapped_module|parametrizations)\."
    r"|\.original$"
)


def plain_names(tensors, path):
    """Strips keys of what training code and wrappers added to them.

    Args:
        tensors: Dictionary, what `read_tensors` returns.
        path: Path of the file, for the error.

    Returns:
        The same tensors by their shorter keys.
    """
    return renamed(
        tensors,
        {key: CONTAINERS.sub("", WRAPPERS.sub("", key)) for key in tensors},
        path,
    )


def renamed(tensors, names, path):
    """Renames tensors.

    Args:
        tensors: Dictionary from key to tensor.
        names: Dictionary from key to name.
        path: Path of the file, for the error.

    Returns:
        Dictionary from name to tensor.

    Raises:
        ValueError: If two keys get the same name.
    """
    check_distinct(names, path)
    return {names[key]: value for key, value in tensors.items()}


def choose_part(splits, part):
    """Returns the names of the weights of one part, and of unknown ones.

    Args:
        splits: Dictionary from key to a pair: `"teacher"` or `"student"`, and
            the name within it.
        part: `"teacher"` or `"student"`: which to use, if there are both.

    Returns:
        Dictionary from key to name: within the chosen part, or with the other
        part in front for weights that the chosen one lacks.
    """
    parts = {owner for owner, _ in splits.values()}
    chosen = part if part in parts else min(parts)
    known = {name for owner, name in splits.values() if owner == chosen}
    return {
        key: name if owner == chosen else f"{owner}.{name}"
        for key, (owner, name) in splits.items()
        if owner == chosen or name not in known
    }


def check_distinct(names, path):
    """Raises a `ValueError` if two keys get the same name."""
    seen = {}
    for key, name in names.items():
        if name in seen:
            raise ValueError(
                f"{path} holds two tensors for {name!r}: {seen[name]!r} and "
                f"{key!r}."
            )
        seen[name] = key
