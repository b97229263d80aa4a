from keras import ops


def nearest_colors(pixels, palette):
    """Returns the index of the palette colour closest to each pixel.

    Distances are Euclidean, computed in float32.

    Args:
        pixels: Float tensor of shape `(..., channels)`.
        palette: Float tensor of shape `(colors, channels)`.

    Returns:
        Int32 tensor of shape `(...,)`. Ties go to the first colour.

    Example:

    >>> palette = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    >>> pixels = np.array([[0.2, 0.4, 0.9], [-0.5, -0.1, 0.1]])
    >>> keras_capi.ops.nearest_colors(pixels, palette)  # 1, 0

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf),
      section 3.1
    """
    pixels = ops.cast(pixels, "float32")
    palette = ops.cast(palette, "float32")
    # Not a matrix product, which may be computed in half precision or less.
    distances = sum(
        ops.square(pixels[..., channel, None] - palette[:, channel])
        for channel in range(palette.shape[-1])
    )
    return ops.cast(ops.argmin(distances, axis=-1), "int32")
