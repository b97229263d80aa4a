from keras import ops


def sobel_filter(images):
    """Finds the edges of images with a Sobel filter.

    Colours are averaged to grey, and brightness cancels: what remains are
    horizontal and vertical differences. Beyond the border are zeros, so that
    the border is an edge, too.

    Args:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised.

    Returns:
        Tensor of shape `(batch, height, width, 2)`, of the dtype of `images`:
        how much darker it gets to the right, and downwards, over two pixels,
        times four.

    Example:

    >>> images = keras.random.normal((2, 8, 8, 3))
    >>> keras_capi.ops.sobel_filter(images).shape  # (2, 8, 8, 2)

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.4
    """
    images = ops.convert_to_tensor(images)
    gray = ops.mean(ops.cast(images, "float32"), axis=-1)
    gray = ops.pad(gray, ((0, 0), (1, 1), (1, 1)))
    columns = gray[:, :-2] + 2 * gray[:, 1:-1] + gray[:, 2:]
    rows = gray[:, :, :-2] + 2 * gray[:, :, 1:-1] + gray[:, :, 2:]
    edges = [columns[:, :, :-2] - columns[:, :, 2:], rows[:, :-2] - rows[:, 2:]]
    return ops.cast(ops.stack(edges, axis=-1), images.dtype)
