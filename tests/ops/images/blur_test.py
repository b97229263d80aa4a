import numpy as np
import pytest
from helpers import to_numpy
from keras import ops
from PIL import Image
from PIL import ImageFilter

from keras_capi.ops.images import blur

RADII = np.array([0.0, 0.1, 0.3, 0.55, 0.8, 1.0, 1.37, 2.0, 5.0], "float32")


def test_blur_equals_pil_but_for_its_rounding():
    # Noise: nothing is as sensitive to the kernel, and to the borders.
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (len(RADII), 3, 30, 23), "uint8")
    outputs = to_numpy(
        blur.gaussian_blur(
            ops.cast(images, "float32"), ops.convert_to_tensor(RADII)
        )
    )
    for radius, image, output in zip(RADII, images, outputs, strict=True):
        expected = Image.fromarray(np.moveaxis(image, 0, -1)).filter(
            ImageFilter.GaussianBlur(float(radius))
        )
        # PIL rounds to 8 bits six times, once for each pass and axis.
        difference = np.moveaxis(output, 0, -1) - np.asarray(expected)
        assert np.abs(difference).max() < 4
        assert np.abs(difference).mean() < 1.2


def test_radius_0_changes_nothing():
    matrix = to_numpy(blur.blur_matrix(ops.zeros((1,)), 9))
    np.testing.assert_array_equal(matrix, np.eye(9)[None])


def test_radius_is_the_standard_deviation():
    size = 101
    matrix = to_numpy(blur.blur_matrix(ops.convert_to_tensor(RADII[1:]), size))
    matrix = matrix.astype("float64")
    np.testing.assert_allclose(matrix.sum(axis=-1), 1.0, atol=1e-6)
    assert matrix.min() >= -1e-7
    distances = np.arange(size) - size // 2
    variances = (matrix[:, size // 2] * distances**2).sum(axis=-1)
    np.testing.assert_allclose(variances, RADII[1:] ** 2, rtol=1e-3)


@pytest.mark.parametrize("size", [1, 2])
def test_images_smaller_than_the_blur(size):
    matrix = to_numpy(blur.blur_matrix(ops.convert_to_tensor(RADII), size))
    assert matrix.shape == (len(RADII), size, size)
    np.testing.assert_allclose(matrix.sum(axis=-1), 1.0, atol=1e-6)
