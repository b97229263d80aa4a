def add_state(layer, name, shape, dtype="float32", initializer="zeros"):
    """Adds a variable that a layer assigns itself.

    It is not trained, and keeps its dtype where the layer computes in half
    precision.

    Args:
        layer: The layer.
        name: String.
        shape: Tuple of integers.
        dtype: String. Defaults to `"float32"`.
        initializer: Initializer. Defaults to `"zeros"`.

    Returns:
        `keras.Variable`.
    """
    return layer.add_weight(
        name=name,
        shape=shape,
        initializer=initializer,
        dtype=dtype,
        trainable=False,
        autocast=False,
    )
