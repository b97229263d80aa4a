def refuse_other_names(kind, names, inputs, needed=()):
    """Raises a `ValueError` unless a method knows all names of a dictionary.

    What it does not know it would ignore, be it a name with a typing error.

    Args:
        kind: String. What may be given beside the images, or instead of them.
        names: Iterable of strings. All names that inputs of that kind may have.
        inputs: Dictionary.
        needed: Iterable of strings. Those of `names` that inputs must have if
            they are not the images alone. Defaults to `()`.
    """
    given = set(inputs) - {"images"}
    if given and not set(needed) <= given <= set(names):
        all_needed = set(needed) == set(names)
        raise wrong_names(kind, names, inputs, "must" if all_needed else "may")


def wrong_names(kind, names, inputs, verb="must"):
    """Returns the error for a dictionary with other names than a method knows.

    Data sets with labels often yield such dictionaries.

    Args:
        kind: String. What may come with the images.
        names: Iterable of strings. All names that inputs of that kind have.
        inputs: Dictionary.
        verb: `"must"`, or `"may"` if inputs need not have all of them. Defaults
            to `"must"`.
    """
    return ValueError(
        f"Inputs must be the images alone: inputs with {kind} {verb} have the "
        f"keys {sorted(names)}, and no others. Leave out what a data set has "
        'besides, such as labels: `dataset.map(lambda x: x["images"])`; of '
        "tuples, all but the first is left out. Received: a dictionary of "
        f"{sorted(inputs)}"
    )
