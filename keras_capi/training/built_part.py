import keras


def built_part(name, part, shape):
    """Builds a user's layer, so that its weights exist before training.

    A layer without its own `build` makes its weights when it is first called;
    within a training step that would be too late.

    Args:
        name: String. The argument's name, for the error.
        part: The user's layer.
        shape: Tuple. The shape of its input.

    Returns:
        The layer.

    Raises:
        ValueError: If it is not a layer, or cannot be built.
    """
    if not isinstance(part, keras.Layer):
        raise ValueError(
            f"`{name}` must be a layer, or None. Received: {part!r}"
        )
    if not part.built and type(part).build is not keras.Layer.build:
        part.build(shape)
    if all(layer.built for layer in part._flatten_layers()):
        return part
    try:
        part(keras.KerasTensor(shape))
    # A user's layer may raise anything.
    except Exception as error:
        raise ValueError(
            f"`{name}` must be built, or build itself when it is called on a "
            f"tensor of shape {shape}: otherwise call it on one first. "
            f"Received: {type(part).__name__}, which raises the error above"
        ) from error
    return part
