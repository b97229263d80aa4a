import keras


def built_part(name, part, shape):
    """Builds a layer that a user gave, whose weights training must know.

    One that has no `build` of its own makes its weights when it is called, and
    within a training step it would be too late.

    Args:
        name: String. The argument's name, for the error.
        part: What the user gave.
        shape: Tuple, what the layer is to be called on.

    Returns:
        The layer.

    Raises:
        ValueError: If it is no layer, or cannot build itself.
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
    # A layer of the user may raise anything.
    except Exception as error:
        raise ValueError(
            f"`{name}` must be built, or build itself when it is called on a "
            f"tensor of shape {shape}: else call it on one before. "
            f"Received: {type(part).__name__}, which raises the error above"
        ) from error
    return part
