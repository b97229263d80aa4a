import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.ops import rotate_quarters


def test_turns_anticlockwise():
    images = make_images(3, 4, 4, channels=2)
    turned, labels = rotate_quarters(images)
    for turns in range(4):
        np.testing.assert_array_equal(
            to_numpy(turned)[:, turns], np.rot90(images, turns, axes=(1, 2))
        )
    np.testing.assert_array_equal(to_numpy(labels), [[0, 1, 2, 3]] * 3)
    assert keras.backend.standardize_dtype(labels.dtype) == "int32"


def test_images_must_be_square():
    with pytest.raises(ValueError, match=r"square.*\(2, 4, 8, 3\)"):
        rotate_quarters(make_images(2, 4, 8))
