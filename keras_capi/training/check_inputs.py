"""Checks of the data that a pretraining method is trained on."""

from keras_capi.validation import is_array


def named_arrays(inputs, instead_of_images):
    """Returns the arrays given to `fit` as a dictionary, or raises an error.

    Args:
        inputs: The `x` given to `fit`.
        instead_of_images: See `check_names`.

    Returns:
        Dictionary, or `None` for a data set, whose batches are checked instead.
    """
    if is_array(inputs):
        return {"images": inputs}
    if isinstance(inputs, list | tuple):
        raise ValueError(
            "Images must be one array of shape (count, height, width, "
            "channels): stack them. There are no labels to pass. "
            f"Received: a {type(inputs).__name__} of {len(inputs)}"
        )
    if not isinstance(inputs, dict):
        return None
    check_names(inputs, instead_of_images)
    return inputs


def check_names(inputs, instead_of_images=()):
    """Raises a `ValueError` if a dictionary has no images.

    Args:
        inputs: Dictionary.
        instead_of_images: Sequence of names, one of which may replace the
            images. Defaults to `()`.
    """
    needed = ("images", *instead_of_images)
    if not any(name in inputs for name in needed):
        raise ValueError(
            f"Inputs must have {' or '.join(map(repr, needed))}. Of other "
            "dictionaries, pass on the images: `dataset.map(lambda x: "
            'x["image"])`. '
            f"Received: a dictionary of {sorted(inputs)}"
        )


def check_images_alone(
    y=None,
    sample_weight=None,
    class_weight=None,
    validation_data=None,
    **others,
):
    """Raises a `ValueError` if there are labels, or samples have weights.

    What data sets yield beside images is not checked, as many have labels.

    Args:
        y: As given to `fit` and similar methods.
        sample_weight: The same.
        class_weight: The same.
        validation_data: The same.
        **others: Their other arguments.
    """
    if isinstance(validation_data, tuple):
        _, validation_y, weights = (*validation_data, None, None, None)[:3]
        y = validation_y if y is None else y
        sample_weight = weights if sample_weight is None else sample_weight
    for name, weights in (
        ("sample_weight", sample_weight),
        ("class_weight", class_weight),
    ):
        if weights is not None:
            raise ValueError(
                "Without labels all images count alike: leave out "
                f"`{name}`, and repeat images in the data set that should "
                f"count for more. Received: {name} of type "
                f"{type(weights).__name__}"
            )
    if y is not None:
        raise ValueError(
            "Methods of pretraining learn without labels: pass the images "
            "alone, or train a `keras_capi.models.ImageClassifier`. "
            f"Received: y of type {type(y).__name__}"
        )
