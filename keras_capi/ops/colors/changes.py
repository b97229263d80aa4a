import itertools

import numpy as np
from keras import ops

# Shares of red, green and blue in grey, as in PIL.
GRAY_SHARES = (0.299, 0.587, 0.114)
# Uniform numbers for each image in `random_jitter`: whether to change it, the
# strength of each of the four changes, and their order.
NUMBERS_PER_JITTER = 6


def _blends_of_orders():
    """Maps each order of the four changes to a fixed sequence.

    Brightness, contrast and saturation are blends of the image with its grey,
    and cheap. Hue is expensive, so it is changed once, with three blends before
    it and three after it, some of which do nothing.

    Returns:
        Float32 array of shape `(24, 6, 3)`: for each order and blend, whether
        that is brightness, contrast or saturation.
    """
    hue = 3
    places = np.zeros((24, 6, 3), "float32")
    for places_of_order, order in zip(
        places, itertools.permutations(range(4)), strict=True
    ):
        place = 0
        for change in order:
            if change == hue:
                place = 3
            else:
                places_of_order[place, change] = 1.0
                place += 1
    return places


BLENDS_OF_ORDERS = _blends_of_orders()


def random_jitter(uniform, brightness, contrast, saturation, hue, rate):
    """Samples a colour jitter for each image, as torchvision does.

    Args:
        uniform: Float32 tensor of shape `(batch, 6)`, uniform in `[0, 1)`.
        brightness: Float. The factor is uniform in `1 +- brightness`, but at
            least 0.
        contrast: Like `brightness`.
        saturation: Like `brightness`.
        hue: Float. The shift is uniform in `+- hue`, in turns of the colour
            circle.
        rate: Float. Share of the images that are changed.

    Returns:
        Tuple of `shares` and `shifts`, for `jitter`: three float32 tensors of
        shape `(batch, 6)`, the shares of the image, its grey and its mean grey
        in each of six blends; and one of shape `(batch,)`. All 24 orders of the
        four changes are equally likely.
    """
    changes = ops.cast(uniform[:, :1] < rate, "float32")
    strengths = np.array([brightness, contrast, saturation], "float32")
    low = np.maximum(1.0 - strengths, 0.0)
    spread = ops.convert_to_tensor(1.0 + strengths - low)
    factors = ops.convert_to_tensor(low) + uniform[:, 1:4] * spread
    shifts = hue * (2.0 * uniform[:, 4] - 1.0) * changes[:, 0]
    order = ops.minimum(ops.cast(24.0 * uniform[:, 5], "int32"), 23)
    places = ops.take(ops.convert_to_tensor(BLENDS_OF_ORDERS), order, axis=0)
    # The share that each blend takes away from the image itself.
    taken = places * ((1.0 - factors) * changes)[:, None]
    # Saturation blends with the grey of each pixel, contrast with the mean
    # grey, brightness with black.
    shares = 1.0 - ops.sum(taken, axis=-1), taken[..., 2], taken[..., 1]
    return shares, shifts


def jitter(images, shares, shifts):
    """Changes brightness, contrast, saturation and hue of each image.

    Args:
        images: Float32 tensor of shape `(batch, channels, height, width)`, in
            `[0, 1]`. Only images of 3 channels, RGB, have a hue.
        shares: See `random_jitter`.
        shifts: See `random_jitter`.

    Returns:
        Tensor of the shape of `images`, in `[0, 1]`.
    """
    for place in range(6):
        if place == 3 and images.shape[1] == 3:
            images = shift_hue(images, shifts)
        images = blend_with_gray(images, *(x[:, place] for x in shares))
    return images


def blend_with_gray(images, image_shares, gray_shares, mean_shares):
    """Blends each image with its grey and its mean grey.

    The grey of images of 3 channels is that of RGB; of others it is the mean of
    the channels.

    Args:
        images: Float32 tensor of shape `(batch, channels, height, width)`, in
            `[0, 1]`.
        image_shares: Float32 tensor of shape `(batch,)`.
        gray_shares: Like `image_shares`.
        mean_shares: Like `image_shares`.

    Returns:
        Tensor of the shape of `images`, clipped to `[0, 1]`.
    """
    num_channels = images.shape[1]
    weights = GRAY_SHARES if num_channels == 3 else (1 / num_channels,)
    weights = ops.convert_to_tensor(weights, "float32")[:, None, None]
    gray = ops.sum(images * weights, axis=1, keepdims=True)
    mean = ops.mean(gray, axis=(2, 3), keepdims=True)
    image_shares, gray_shares, mean_shares = (
        ops.reshape(shares, (-1, 1, 1, 1))
        for shares in (image_shares, gray_shares, mean_shares)
    )
    grays = gray_shares * gray + mean_shares * mean
    return ops.clip(image_shares * images + grays, 0.0, 1.0)


def shift_hue(images, shifts):
    """Shifts the hue of each image, and keeps saturation and value.

    Args:
        images: Float32 tensor of shape `(batch, 3, height, width)`, RGB in
            `[0, 1]`.
        shifts: Float32 tensor of shape `(batch,)`, in turns of the colour
            circle, from -1 to 1.

    Returns:
        Tensor of the shape of `images`.
    """
    images = ops.image.rgb_to_hsv(images, data_format="channels_first")
    hue = images[:, :1] + shifts[:, None, None, None]
    hue = hue - ops.floor(hue)
    images = ops.concatenate([hue, images[:, 1:]], axis=1)
    return ops.image.hsv_to_rgb(images, data_format="channels_first")


def solarize(images, is_solarized):
    """Inverts the bright values of some images.

    Args:
        images: Float32 tensor of shape `(batch, channels, height, width)`, in
            `[0, 1]`.
        is_solarized: Boolean tensor of shape `(batch,)`.

    Returns:
        Tensor of the shape of `images`.
    """
    # PIL inverts 8-bit values from 128 on.
    is_inverted = ops.logical_and(
        is_solarized[:, None, None, None], images > 127.5 / 255
    )
    return ops.where(is_inverted, 1.0 - images, images)
