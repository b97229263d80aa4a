def known_grid_size(encoder):
    """Returns an encoder's rows and columns of patches, which must be known.

    A decoder has a position for each.

    Args:
        encoder: `keras_capi.encoders.Encoder`.

    Returns:
        Tuple of two integers.
    """
    grid_size = encoder.grid_size(encoder.image_shape)
    if None in grid_size:
        raise ValueError(
            "`encoder` must know the size of the images, as its decoder has a "
            "position for each patch: give it an `image_shape` with height and "
            f"width. Received: encoder.image_shape={encoder.image_shape}"
        )
    return grid_size
