"""Masks of methods whose encoder sees a token in the place of patches."""

from benchmarks.speed import SIZES
from benchmarks.speed import count_patches


def count_hidden(options, mask_ratio):
    """Returns how many patches of an image are hidden."""
    patches = count_patches(options.image_size, SIZES[options.size][-1])
    return round(patches * mask_ratio)


def draw_hidden(options, mask_ratio):
    """Returns a Boolean array `(batch, patches)`, as many true in each image.

    Published masks are blocks, and some of them hide a few less. Which patches
    are hidden changes no product.
    """
    import numpy as np

    patches = count_patches(options.image_size, SIZES[options.size][-1])
    numbers = np.random.default_rng(0).random((options.batch_size, patches))
    ranks = numbers.argsort(axis=1).argsort(axis=1)
    return ranks < count_hidden(options, mask_ratio)
