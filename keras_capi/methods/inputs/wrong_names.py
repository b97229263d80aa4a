def wrong_names(kind, names, inputs):
    """Returns the error for a dictionary with other names than a method knows.

    Data sets with labels often yield such dictionaries.

    Args:
        kind: String. What may come with the images.
        names: Iterable of strings. All names that inputs of that kind have.
        inputs: Dictionary.
    """
    return ValueError(
        f"Inputs must be the images alone: inputs with {kind} must have the "
        f"keys {sorted(names)}, and no others. Leave out what a data set has "
        'besides, such as labels: `dataset.map(lambda x: x["images"])`; of '
        "tuples, all but the first is left out. Received: a dictionary of "
        f"{sorted(inputs)}"
    )
