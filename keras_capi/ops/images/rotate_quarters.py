from keras import ops

# Rotations by 0, 90, 180 and 270 degrees.
NUM_TURNS = 4


def rotate_quarters(images):
    """Rotates square images by 0, 90, 180 and 270 degrees anticlockwise.

    Pixels are only moved: without interpolation or borders, only the content of
    an image can tell how it was rotated.

    Args:
        images: Tensor of shape `(batch, size, size, channels)`.

    Returns:
        Tensor of shape `(batch, 4, size, size, channels)`, and the quarter
        turns, int32 of shape `(batch, 4)`: from 0 to 3.

    Raises:
        ValueError: If the images are not square.

    Example:

    >>> images = np.arange(8.0).reshape((2, 2, 2, 1))
    >>> turned, labels = keras_capi.ops.rotate_quarters(images)
    >>> turned.shape  # (2, 4, 2, 2, 1)

    Reference:

    - [Unsupervised representation learning by predicting image rotations](
      https://arxiv.org/abs/1803.07728), section 3.1
    """
    height, width = images.shape[1:3]
    if height != width:
        raise ValueError(
            "`images` must be square. Received: images.shape="
            f"{tuple(images.shape)}"
        )
    transposed = ops.transpose(images, (0, 2, 1, 3))
    turns = (
        images,
        ops.flip(transposed, axis=1),
        ops.flip(images, axis=(1, 2)),
        ops.flip(transposed, axis=2),
    )
    labels = ops.arange(NUM_TURNS, dtype="int32")[None]
    return (
        ops.stack(turns, axis=1),
        ops.repeat(labels, ops.shape(images)[0], axis=0),
    )
