import keras


def encoder_specs(encoder, images, visible_indices=None, layers=()):
    """Returns the shapes and types of an encoder's outputs.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        images: Tensor or `keras.KerasTensor`.
        visible_indices: The same, or `None`.
        layers: Tuple of integers.

    Returns:
        Dictionary of `keras.KerasTensor`s.
    """
    batch_size, *image_shape = images.shape
    names = [f"layer_{number}" for number in layers]
    if visible_indices is None:
        grid = encoder.grid_size(image_shape)
        names = ["feature_map", *names]
    else:
        grid = (visible_indices.shape[1],)
        names = ["patches", "positions", *names]
    width = encoder.hidden_dim
    shapes = {
        "global": (batch_size, encoder.global_dim),
        encoder.prefix_name: (batch_size, encoder.num_prefix_tokens, width),
        **{name: (batch_size, *grid, width) for name in names},
    }
    specs = {
        name: keras.KerasTensor(shape, encoder.compute_dtype)
        for name, shape in shapes.items()
    }
    if "positions" in specs:
        shape = (batch_size, *grid, None)
        specs["positions"] = keras.KerasTensor(shape, "float32")
    return specs
