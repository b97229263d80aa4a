from keras import ops


def nearest_colors(pixels, palette):
    """Returns which colour of a palette is closest to each pixel.

    Closest by the squared Euclidean distance, in float32.

    Args:
        pixels: Float tensor of shape `(..., channels)`.
        palette: Float tensor of shape `(colors, channels)`.

    Returns:
        Int32 tensor of shape `(...,)`. Of colours that are equally close, the
        first.

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
    # Not as a product of matrices: half precision or less would round it.
    distances = sum(
        ops.square(pixels[..., channel, None] - palette[:, channel])
        for channel in range(palette.shape[-1])
    )
    return ops.cast(ops.argmin(distances, axis=-1), "int32")
