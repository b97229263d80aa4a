"""Test images that the training images contain, too."""

import warnings

import numpy as np
import pytest

from keras_capi.cli.labelled_folders import warn_of_shared_images

IMAGES = np.random.default_rng(0).integers(0, 255, (7, 8, 8, 3), "uint8")


@pytest.mark.parametrize(("start", "count"), [(0, 4), (2, 2), (3, 1)])
def test_are_counted(start, count):
    with pytest.warns(UserWarning, match=f"{count} of 4 test images that are"):
        warn_of_shared_images(IMAGES[:4], IMAGES[start : start + 4])


def test_lists_of_images_of_other_sizes():
    images = [IMAGES[0], IMAGES[1, :5]]
    with pytest.warns(UserWarning, match="1 of 2 test images that are"):
        warn_of_shared_images(IMAGES[:1], images)


def test_others_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_shared_images(IMAGES[:3], IMAGES[3:])
        warn_of_shared_images(IMAGES[:3], IMAGES[:0])
