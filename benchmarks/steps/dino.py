"""DINO's training step, on views that are there: two large, eight small."""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.vit import make_vit

NUM_GLOBAL, NUM_LOCAL = 2, 8
HEAD_WIDTHS = 2048, 2048, 256
DROP_PATH_RATE = 0.1


def view_sizes(options):
    """Returns the sides of the views, three sevenths and whole patches."""
    patch_size = SIZES[options.size][-1]
    local = round(options.image_size * 3 / 7 / patch_size) * patch_size
    return options.image_size, local


def make_views(options):
    """Returns noise: `(batch, views, height, width, channels)` of each size."""
    import numpy as np

    counts = NUM_GLOBAL, NUM_LOCAL
    return [
        np.stack([make_images(options, size)] * count, axis=1)
        for size, count in zip(view_sizes(options), counts, strict=True)
    ]


def view_flops(options, size, tokens=1):
    """Matrix products of a view's forward pass, of which the head has tokens.

    Stochastic depth is not subtracted, as published it computes all.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    head, inner = 0, width
    for outer in (*HEAD_WIDTHS, options.clusters):
        head += 2 * inner * outer
        inner = outer
    patches = count_patches(size, patch_size)
    embedding = 6 * patch_size**2 * width * patches
    return embedding + layers * block_flops(width, patches + 1) + tokens * head


def flops(options):
    """Matrix products of a step, backward passes included."""
    large, small = (view_flops(options, size) for size in view_sizes(options))
    student = NUM_GLOBAL * large + NUM_LOCAL * small
    return options.batch_size * (NUM_GLOBAL * large + 3 * student)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options, interpolation_offset=0.1, drop_path_rate=DROP_PATH_RATE
    )
    model = keras_capi.methods.DINO(encoder, options.clusters)
    # The prototypes train from the start, so that the step is whole.
    optimizer = model.published_optimizer(
        10_000, options.batch_size, frozen_steps=0
    )
    views = dict(
        zip(("global_views", "local_views"), make_views(options), strict=True)
    )
    return model, optimizer, views
