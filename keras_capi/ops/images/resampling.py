import math

from keras import ops

from keras_capi.ops.masks.block_masks import uniform_integers

# How often a window is drawn at most, until one fits into the image.
NUM_ATTEMPTS = 10
# Uniform numbers for each window: areas and aspect ratios, and a corner (2).
NUMBERS_PER_WINDOW = 2 * NUM_ATTEMPTS + 2


def random_windows(uniform, image_size, scale, aspect_ratio):
    """Samples one crop window for each image, as torchvision does.

    The area is a uniform fraction of the image's, the aspect ratio (width over
    height) is log-uniform, the sides are rounded to whole pixels, and the
    corner is uniform over all positions where the window fits. The first of ten
    attempts that fits is taken; if none does, the window of `central_window`.

    Args:
        uniform: Float32 tensor of shape `(batch, 22)`, uniform in `[0, 1)`.
        image_size: Height and width of all images, integers or scalar tensors.
        scale: Tuple of two floats. Bounds of the area, as a fraction of the
            image.
        aspect_ratio: Tuple of two floats. Bounds of width over height.

    Returns:
        Four int32 tensors of shape `(batch,)`: tops, lefts, heights, widths.

    Reference:

    - `get_params` of
      [torchvision.transforms.RandomResizedCrop](https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomResizedCrop.html)
    """
    height, width = (ops.cast(size, "float32") for size in image_size)
    areas = _interpolate(uniform[:, :NUM_ATTEMPTS], scale) * height * width
    aspects = ops.exp(
        _interpolate(
            uniform[:, NUM_ATTEMPTS:-2], [math.log(r) for r in aspect_ratio]
        )
    )
    heights = ops.round(ops.sqrt(areas / aspects))
    widths = ops.round(ops.sqrt(areas * aspects))
    fits = ops.logical_and(
        ops.logical_and(heights >= 1, heights <= height),
        ops.logical_and(widths >= 1, widths <= width),
    )
    # The index of the first 1; any index if there is none.
    first = ops.argmax(ops.cast(fits, "int32"), axis=1, keepdims=True)
    any_fits = ops.any(fits, axis=1)
    central = central_window(image_size, aspect_ratio)

    def pick(sizes, otherwise):
        sizes = ops.take_along_axis(sizes, first, axis=1)[:, 0]
        return ops.where(any_fits, ops.cast(sizes, "int32"), otherwise)

    heights, widths = pick(heights, central[2]), pick(widths, central[3])
    height, width = (ops.cast(size, "int32") for size in image_size)
    tops = uniform_integers(uniform[:, -2], height - heights + 1)
    lefts = uniform_integers(uniform[:, -1], width - widths + 1)
    tops = ops.where(any_fits, tops, central[0])
    lefts = ops.where(any_fits, lefts, central[1])
    return tops, lefts, heights, widths


def _interpolate(fraction, bounds):
    low, high = bounds
    return low + fraction * (high - low)


def central_window(image_size, aspect_ratio):
    """Returns the largest centred window with an allowed aspect ratio.

    Args:
        image_size: Height and width, integers or scalar tensors.
        aspect_ratio: Tuple of two floats. Bounds of width over height. Equal
            bounds ask for one aspect ratio.

    Returns:
        Four int32 scalar tensors: top, left, height, width. The whole image if
        its own aspect ratio is within the bounds.
    """
    height, width = (ops.cast(size, "float32") for size in image_size)
    aspect = ops.clip(width / height, *aspect_ratio)
    inner_height = ops.clip(ops.round(width / aspect), 1.0, height)
    inner_width = ops.clip(ops.round(height * aspect), 1.0, width)
    window = (
        ops.floor((height - inner_height) / 2),
        ops.floor((width - inner_width) / 2),
        inner_height,
        inner_width,
    )
    return tuple(ops.cast(x, "int32") for x in window)


def resampling_matrix(
    start, size, input_size, output_size, interpolation="bicubic"
):
    """Returns matrices that crop and resize one axis.

    A row holds the weights of one output pixel: the cubic kernel of Keys with
    `a = -0.5`, or a triangle. Where the window shrinks, the kernel is widened
    by the scale to prevent aliasing. As if the window were cropped first,
    pixels outside it have no weight, and every row sums to 1. PIL computes the
    same, and so does `keras.ops.image.scale_and_translate` for a window of the
    whole image.

    Args:
        start: Tensor of shape `(batch,)`. First pixel of each window.
        size: Tensor of shape `(batch,)`. Number of pixels of each window, at
            least 1.
        input_size: Integer or integer scalar tensor. Pixels of the input.
        output_size: Integer. Pixels of the output.
        interpolation: String, `"bicubic"` or `"bilinear"`. Defaults to
            `"bicubic"`.

    Returns:
        Float32 tensor of shape `(batch, output_size, input_size)`.

    Reference:

    - [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """
    start = ops.cast(start, "float32")[:, None, None]
    size = ops.cast(size, "float32")[:, None, None]
    pixels_per_output = size / output_size
    centers = start + (_pixel_centers(output_size)[:, None] * pixels_per_output)
    positions = _pixel_centers(input_size)
    distances = ops.abs(positions - centers)
    weights = KERNELS[interpolation](
        distances / ops.maximum(pixels_per_output, 1.0)
    )
    inside = ops.logical_and(positions > start, positions < start + size)
    weights = ops.where(inside, weights, 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _pixel_centers(size):
    return ops.cast(ops.arange(size), "float32") + 0.5


def _cubic_kernel(distance):
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((2.5 - 0.5 * distance) * distance - 4.0) * distance + 2.0
    return ops.where(distance < 1.0, near, ops.where(distance < 2.0, far, 0.0))


def _linear_kernel(distance):
    return ops.maximum(1.0 - distance, 0.0)


KERNELS = {"bicubic": _cubic_kernel, "bilinear": _linear_kernel}


def resample_windows(
    images,
    tops,
    lefts,
    heights,
    widths,
    output_size,
    flips=None,
    interpolation="bicubic",
    windows_per_image=1,
):
    """Crops the windows of each image and resizes them.

    Uses two matrix products for the whole batch instead of a loop over images.

    Args:
        images: Float32 tensor of shape `(batch, height, width, channels)`.
        tops: Integer tensor of shape `(windows,)`, where all windows of the
            first image come first. First row of each window.
        lefts: Like `tops`. First column of each window.
        heights: Like `tops`. Rows of each window.
        widths: Like `tops`. Columns of each window.
        output_size: Tuple of two integers, height and width of the output.
        flips: Boolean tensor of shape `(windows,)`: which windows to mirror
            left to right; or `None`. Defaults to `None`.
        interpolation: String, see `resampling_matrix`. Defaults to `"bicubic"`.
        windows_per_image: Integer. Defaults to `1`.

    Returns:
        Float32 tensor of shape `(windows, *output_size, channels)`. The cubic
        kernel has negative lobes: values may overshoot the range of the input.
    """
    _, height, width, channels = ops.shape(images)
    rows, columns = (
        resampling_matrix(starts, sizes, *lengths, interpolation)
        for starts, sizes, *lengths in (
            (tops, heights, height, output_size[0]),
            (lefts, widths, width, output_size[1]),
        )
    )
    if flips is not None:
        mirrored = ops.flip(columns, axis=1)
        columns = ops.where(flips[:, None, None], mirrored, columns)
    # All windows of an image in one product. There may be no images.
    rows = ops.reshape(rows, (-1, windows_per_image * output_size[0], height))
    images = ops.einsum("brh,bhwc->brwc", rows, images)
    images = ops.reshape(images, (-1, output_size[0], width, channels))
    return ops.einsum("npw,nowc->nopc", columns, images)
