import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import extract_patches
from keras_capi.ops import pixel_targets

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, (2, 8, 12, 3))
IMAGES = IMAGES.astype("float32")


def test_each_patch_is_normalised_with_the_unbiased_variance():
    patches = to_numpy(extract_patches(IMAGES, 4)).astype("float64")
    mean = patches.mean(axis=-1, keepdims=True)
    variance = patches.var(axis=-1, keepdims=True, ddof=1)
    np.testing.assert_allclose(
        to_numpy(pixel_targets(IMAGES, 4)),
        (patches - mean) / np.sqrt(variance + 1e-6),
        atol=1e-5,
    )


def test_patches_of_one_colour_are_finite():
    targets = to_numpy(pixel_targets(np.ones((1, 8, 8, 3), "float32"), 4))
    np.testing.assert_array_equal(targets, 0.0)


def test_a_single_value_has_no_deviation():
    images = np.ones((1, 2, 2, 1), "float32")
    with pytest.raises(ValueError, match=r"patch_size=1.*\(1, 2, 2, 1\)"):
        pixel_targets(images, 1)
    np.testing.assert_array_equal(to_numpy(pixel_targets(images, 1, False)), 1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pixels_as_they_are(dtype):
    targets = to_numpy(pixel_targets(IMAGES.astype(dtype), 4, False))
    assert targets.dtype == "float32"
    np.testing.assert_allclose(
        targets, to_numpy(extract_patches(IMAGES, 4)), atol=5e-3
    )
