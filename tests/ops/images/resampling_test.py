import math
import random

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_capi.ops.images import resampling


def resize_with_pil(
    image, top, left, height, width, output_size, interpolation="bicubic"
):
    channels = []
    for channel in np.moveaxis(image, -1, 0):
        window = channel[top : top + height, left : left + width]
        resized = Image.fromarray(np.ascontiguousarray(window)).resize(
            output_size[::-1], Image.Resampling[interpolation.upper()]
        )
        channels.append(np.asarray(resized))
    return np.stack(channels, axis=-1)


# One shape for most tests: JAX compiles each operation for each shape.
IMAGES = np.random.default_rng(0).random((5, 40, 52, 3), dtype="float32")


@pytest.mark.parametrize(
    "output_size, interpolation",
    [
        ((16, 16), "bicubic"),
        ((7, 90), "bicubic"),
        ((90, 1), "bicubic"),
        ((7, 90), "bilinear"),
    ],
    ids=["shrink", "enlarge columns", "enlarge rows", "linearly"],
)
def test_resample_windows_equals_pil(output_size, interpolation):
    # The whole image, a corner, an inner part, a row, and a single pixel.
    tops = [0, 22, 5, 39, 11]
    lefts = [0, 0, 9, 3, 51]
    heights = [40, 18, 20, 1, 1]
    widths = [52, 52, 13, 41, 1]
    outputs = resampling.resample_windows(
        IMAGES,
        *map(np.array, (tops, lefts, heights, widths)),
        output_size,
        interpolation=interpolation,
    )
    expected = [
        resize_with_pil(*window, output_size, interpolation)
        for window in zip(IMAGES, tops, lefts, heights, widths, strict=True)
    ]
    outputs = ops.convert_to_numpy(outputs)
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=2e-5)


def test_whole_image_equals_scale_and_translate():
    output_size = (7, 90)
    expected = ops.image.scale_and_translate(
        IMAGES,
        output_shape=(5, *output_size, 3),
        scale=np.array(output_size, "float32") / IMAGES.shape[1:3],
        translation=np.zeros(2, "float32"),
        spatial_dims=(1, 2),
        method="cubic",
        antialias=True,
    )
    zeros = np.zeros(5, "int64")
    outputs = resampling.resample_windows(
        IMAGES, zeros, zeros, zeros + 40, zeros + 52, output_size
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs),
        ops.convert_to_numpy(expected),
        rtol=0,
        atol=2e-5,
    )


def test_window_of_the_output_size_is_a_plain_crop():
    tops, lefts = np.array([0, 1, 5, 9, 24]), np.array([36, 9, 1, 2, 0])
    sizes = np.full(5, 16)
    outputs = resampling.resample_windows(
        IMAGES, tops, lefts, sizes, sizes, (16, 16)
    )
    expected = [
        image[top : top + 16, left : left + 16]
        for image, top, left in zip(IMAGES, tops, lefts, strict=True)
    ]
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs), expected, rtol=0, atol=1e-6
    )


def test_matrix_rows_sum_to_one_and_stay_in_the_window():
    start, size = np.array([0, 3, 39, 9, 12]), np.array([40, 9, 1, 31, 2])
    matrix = ops.convert_to_numpy(
        resampling.resampling_matrix(start, size, 40, 16)
    )
    assert matrix.shape == (5, 16, 40)
    np.testing.assert_allclose(matrix.sum(-1), 1.0, atol=1e-6)
    for weights, low, length in zip(matrix, start, size, strict=True):
        assert not weights[:, :low].any()
        assert not weights[:, low + length :].any()


def central_window_in_python(height, width, aspect_ratio):
    low, high = aspect_ratio
    inner_height, inner_width = height, width
    if width / height < low:
        inner_height = round(width / low)
    elif width / height > high:
        inner_width = round(height * high)
    return (
        (height - inner_height) // 2,
        (width - inner_width) // 2,
        inner_height,
        inner_width,
    )


@pytest.mark.parametrize("aspect_ratio", [(3 / 4, 4 / 3), (1.0, 1.0), (2, 3)])
@pytest.mark.parametrize("image_size", [(50, 61), (37, 90), (101, 8), (9, 9)])
def test_central_window(image_size, aspect_ratio):
    window = resampling.central_window(image_size, aspect_ratio)
    assert tuple(map(int, window)) == central_window_in_python(
        *image_size, aspect_ratio
    )


def test_central_window_is_never_empty():
    window = resampling.central_window((1, 40), (1e-3, 1e-2))
    assert tuple(map(int, window)) == (0, 19, 1, 1)


def random_window_in_python(generator, height, width, scale, aspect_ratio):
    """The published algorithm, one image at a time."""
    bounds = [math.log(bound) for bound in aspect_ratio]
    for _ in range(10):
        area = height * width * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(*bounds))
        inner_width = round(math.sqrt(area * aspect))
        inner_height = round(math.sqrt(area / aspect))
        if 0 < inner_width <= width and 0 < inner_height <= height:
            top = generator.randint(0, height - inner_height)
            left = generator.randint(0, width - inner_width)
            return top, left, inner_height, inner_width
    return central_window_in_python(height, width, aspect_ratio)


def uniform_numbers():
    shape = (20000, resampling.NUMBERS_PER_WINDOW)
    return keras.random.uniform(shape, seed=1)


def largest_gap(first, second):
    """The statistic of Kolmogorov and Smirnov for two samples."""
    values = np.union1d(first, second)
    first, second = (
        np.searchsorted(np.sort(sample), values, side="right") / len(sample)
        for sample in (first, second)
    )
    return np.abs(first - second).max()


@pytest.mark.parametrize(
    ("image_size", "scale", "aspect_ratio"),
    [
        ((224, 224), (0.6, 1.0), (3 / 4, 4 / 3)),
        ((48, 64), (0.6, 1.0), (3 / 4, 4 / 3)),
        # Wide bounds tell a log-uniform aspect from a uniform one, and a
        # uniform area from a uniform side.
        ((301, 200), (0.02, 0.3), (1 / 3, 3.0)),
        # Most attempts are too wide: many windows are the tenth, or central.
        ((40, 84), (0.8, 1.0), (1.0, 2.0)),
        # So small that rounding is most of what happens.
        ((5, 4), (0.1, 1.0), (1 / 2, 2.0)),
    ],
)
def test_random_windows_have_the_published_distribution(
    image_size, scale, aspect_ratio
):
    uniform = uniform_numbers()
    windows = resampling.random_windows(
        uniform, image_size, scale, aspect_ratio
    )
    generator = random.Random(2)
    expected = [
        random_window_in_python(generator, *image_size, scale, aspect_ratio)
        for _ in range(len(uniform))
    ]

    def statistics(windows):
        tops, lefts, heights, widths = np.array(windows, "float64")
        free_rows = image_size[0] - heights
        free_columns = image_size[1] - widths
        # Both corners of the window, to see that they move independently.
        return {
            "area": heights * widths,
            "aspect": widths / heights,
            "height": heights,
            "top": tops,
            "left": lefts,
            "bottom margin": free_rows - tops,
            "right margin": free_columns - lefts,
            "relative top": tops / (free_rows + 1),
            "relative left": lefts / (free_columns + 1),
            "corner": (tops + 1) * (lefts + 1),
        }

    windows = [ops.convert_to_numpy(x) for x in windows]
    assert all(x.dtype == "int32" for x in windows)
    outputs = statistics(windows)
    expected = statistics(np.array(expected).T)
    assert min(outputs["top"].min(), outputs["left"].min()) >= 0
    assert outputs["bottom margin"].min() >= 0
    assert outputs["right margin"].min() >= 0
    # Chance alone exceeds this once in 100000 times, and the seeds are fixed.
    gaps = {k: largest_gap(outputs[k], expected[k]) for k in outputs}
    assert max(gaps.values()) < 0.025, gaps


def test_images_that_no_window_fits_are_cropped_centrally():
    windows = resampling.random_windows(
        uniform_numbers(), (10, 100), (0.6, 1.0), (3 / 4, 4 / 3)
    )
    for values, expected in zip(windows, (0, 43, 10, 13), strict=True):
        assert (ops.convert_to_numpy(values) == expected).all()
