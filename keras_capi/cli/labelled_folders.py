"""The images and labels that the command `evaluate` uses."""

import hashlib
import warnings

import numpy as np

from keras_capi.data.image_files import name_some
from keras_capi.data.load_labelled_images import load_labelled_images
from keras_capi.data.load_segmentation import load_segmentation


def load_classes(train, test, image_size, white_level):
    """Returns pairs of images and labels, for the training and test folder."""
    images, labels, classes = load_labelled_images(
        train, image_size, white_level=white_level
    )
    if len(classes) < 2:
        raise ValueError(
            "--train must have at least 2 classes, or all scores would be 1. "
            f"Received: {train} with {name_some(classes)}"
        )
    test_images, test_labels, test_classes = load_labelled_images(
        test, image_size, white_level=white_level
    )
    if unknown := sorted(set(test_classes) - set(classes)):
        raise ValueError(
            "The classes of --test must be among those of --train. Received: "
            f"{test} with {name_some(unknown)}"
        )
    warn_of_shared_images(images, test_images)
    # A test folder may lack classes, and would number the others differently.
    numbers = np.array([classes.index(name) for name in test_classes])
    return [(images, labels), (test_images, numbers[test_labels])]


def load_masks(train, test, image_size, white_level):
    """Returns pairs of images and masks.

    Args:
        train: Pair of the folders of training images and of their masks.
        test: Likewise, of the test images.
        image_size: See `load_segmentation`.
        white_level: Likewise.
    """
    data = [
        load_segmentation(folders, image_size, white_level=white_level)
        for folders in (train, test)
    ]
    warn_of_shared_images(*(images for images, _ in data))
    return data


def warn_of_shared_images(train, test):
    """Warns of test images that the training images contain, too.

    A nearest neighbour finds such an image itself, so scores are too good.
    Copies of a file count alike, as pixels are compared.

    Args:
        train: Sequence of uint8 arrays.
        test: Likewise.
    """
    known = {_digest(image) for image in train}
    count = sum(_digest(image) in known for image in test)
    if count:
        warnings.warn(
            "Test images should not be among the training images, which makes "
            f"scores too good. Received: {count} of {len(test)} test images "
            "that are",
            stacklevel=2,
        )


def _digest(image):
    return hashlib.sha256(image.tobytes()).digest()
