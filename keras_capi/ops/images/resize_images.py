from keras import ops

from keras_capi.ops.images.resampling import resample_windows


def resize_images(images, size):
    """Resizes images bicubically with antialiasing, if the size differs.

    Args:
        images: Float tensor of shape `(batch, height, width, channels)`.
        size: Tuple of two integers, the new height and width.

    Returns:
        Float tensor of shape `(batch, *size, channels)`, in float32 if it was
        resized.
    """
    height, width = images.shape[1:3]
    if (height, width) == tuple(size):
        return images
    count = ops.shape(images)[0]
    corners = ops.zeros((count,), "int32")
    heights, widths = (
        ops.zeros((count,), "int32") + n for n in ops.shape(images)[1:3]
    )
    images = ops.cast(images, "float32")
    return resample_windows(images, corners, corners, heights, widths, size)
