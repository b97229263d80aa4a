def build_in_constructor(layer, input_shape):
    """Builds a layer at the end of its constructor, for subclasses to go on.

    Args:
        layer: Keras layer.
        input_shape: As for its `build`.
    """
    layer.build(input_shape)
    allow_parts(layer)


def allow_parts(layer):
    """Lets parts be added to a built layer, as constructors of subclasses do.

    Keras allows none after a `build`, but means that of a layer in use.

    Args:
        layer: Keras layer.
    """
    layer._tracker.unlock()
