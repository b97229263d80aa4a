from keras import ops

# A Gaussian is approximated by three box blurs, one after the other.
NUM_PASSES = 3


def gaussian_blur(images, radii):
    """Blurs each image by its own radius, like PIL's `GaussianBlur`.

    Uses two matrix products for the whole batch instead of a loop over images.

    Args:
        images: Float32 tensor of shape `(batch, channels, height, width)`.
        radii: Float32 tensor of shape `(batch,)`. Standard deviations in
            pixels; 0 leaves an image as it is.

    Returns:
        Tensor of the shape of `images`.
    """
    _, _, height, width = ops.shape(images)
    rows, columns = (blur_matrix(radii, size) for size in (height, width))
    images = ops.matmul(rows[:, None], images)
    return ops.matmul(images, ops.transpose(columns, (0, 2, 1))[:, None])


def blur_matrix(radii, size):
    """Returns matrices that blur one axis.

    Three times the mean of a window, whose width need not be a whole number of
    pixels, so that its outermost pixels count in part. Pixels beyond the border
    repeat the last one.

    Args:
        radii: Float32 tensor of shape `(batch,)`.
        size: Integer or integer scalar tensor. Pixels of the axis.

    Returns:
        Float32 tensor of shape `(batch, size, size)`, whose rows sum to 1.

    Reference:

    - [Gwosdek et al., 2011](https://doi.org/10.1007/978-3-642-24785-9_38),
      which PIL follows
    """
    half = (_box_radii(radii) + 0.5)[:, None, None]
    pixels = ops.cast(ops.arange(size), "float32")
    # How much of the window is to the left of each pixel's right border.
    borders = pixels + 0.5 - pixels[:, None]
    left = ops.minimum(ops.maximum(borders, -half), half)
    is_last = pixels == ops.cast(size - 1, "float32")
    left = ops.where(is_last, half, left)
    first = ops.broadcast_to(-half, ops.shape(left[..., :1]))
    box = left - ops.concatenate([first, left[..., :-1]], axis=-1)
    box = box / (2 * half)
    matrix = box
    for _ in range(NUM_PASSES - 1):
        matrix = ops.matmul(box, matrix)
    return matrix


def _box_radii(radii):
    """The radii of boxes that together have the variance of a Gaussian."""
    variance = ops.square(radii) / NUM_PASSES
    whole = ops.floor((ops.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part = part / (6 * (variance - ops.square(whole + 1)))
    return whole + part
