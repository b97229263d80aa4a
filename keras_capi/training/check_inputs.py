"""Checks of what a method of pretraining is trained on."""


def refuse_lists(inputs):
    """Raises a `ValueError` if images come as a list.

    Args:
        inputs: What `fit` takes as `x`.
    """
    if isinstance(inputs, list | tuple):
        raise ValueError(
            "Images must be one array of shape (count, height, width, "
            "channels): stack them. There are no labels to pass. "
            f"Received: a {type(inputs).__name__} of {len(inputs)}"
        )


def check_no_weights(
    sample_weight=None, class_weight=None, validation_data=None, **others
):
    """Raises a `ValueError` if samples are to be weighted.

    Args:
        sample_weight: What `fit` and the like take.
        class_weight: Likewise.
        validation_data: Likewise.
        **others: Their other arguments.
    """
    if isinstance(validation_data, tuple) and len(validation_data) == 3:
        sample_weight = validation_data[2]
    for name, weights in (
        ("sample_weight", sample_weight),
        ("class_weight", class_weight),
    ):
        if weights is not None:
            raise ValueError(
                "Without labels all images count alike: leave out "
                f"`{name}`, and let the data set yield more often what should "
                f"count for more. Received: {name} of type "
                f"{type(weights).__name__}"
            )
