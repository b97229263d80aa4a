"""Views of images that are there already, and what an encoder does with one."""

import itertools

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches


def view_sizes(options):
    """Returns the sides of the views, three sevenths and whole patches."""
    patch_size = SIZES[options.size][-1]
    local = round(options.image_size * 3 / 7 / patch_size) * patch_size
    return options.image_size, local


def make_views(options, *counts):
    """Returns noise: `(batch, views, height, width, channels)` of each size.

    Args:
        options: The parsed command line.
        *counts: How many large views there are, and how many small ones.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    return [
        generator.normal(
            size=(options.batch_size, count, size, size, 3)
        ).astype("float32")
        for size, count in zip(view_sizes(options), counts, strict=False)
    ]


def name_views(views):
    """Returns the views as methods take them."""
    return dict(zip(("global_views", "local_views"), views, strict=False))


def encoder_flops(options, size, tokens=1):
    """Matrix products of a forward pass of one image.

    Args:
        options: The parsed command line.
        size: Integer. Side of the image.
        tokens: Integer. How many tokens are no patches.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(size, patch_size)
    embedding = 6 * patch_size**2 * width * patches
    return embedding + layers * block_flops(width, patches + tokens)


def perceptron_flops(*widths):
    """Matrix products of linear layers, for one token."""
    return sum(2 * inner * outer for inner, outer in itertools.pairwise(widths))
