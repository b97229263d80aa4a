"""iBOT's training step, on DINO's views, of which the second are masked."""

from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.steps.dino import DROP_PATH_RATE
from benchmarks.steps.dino import NUM_GLOBAL
from benchmarks.steps.dino import NUM_LOCAL
from benchmarks.steps.dino import make_views
from benchmarks.steps.dino import view_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.views import view_sizes
from benchmarks.steps.vit import make_vit

# Half of the views have none. How much is hidden changes no product.
MASK_RATIO = 0.3


def make_masks(options):
    """Returns a Boolean array `(batch, views, rows, columns)`: hidden squares.

    Only the second view has one.
    """
    import numpy as np

    side = options.image_size // SIZES[options.size][-1]
    square = round(side * MASK_RATIO**0.5)
    masks = np.zeros((options.batch_size, NUM_GLOBAL, side, side), bool)
    corners = np.random.default_rng(0).integers(
        side - square + 1, size=(options.batch_size, 2)
    )
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[1, top : top + square, left : left + square] = True
    return masks


def flops(options):
    """Matrix products of a step, backward passes included.

    The heads score all tokens of large views and the class tokens of small
    ones; in the authors' code patches of small views too, for nothing.
    """
    patch_size = SIZES[options.size][-1]
    large_size, small_size = view_sizes(options)
    tokens = count_patches(large_size, patch_size) + 1
    large = view_flops(options, large_size, tokens)
    student = NUM_GLOBAL * large + NUM_LOCAL * view_flops(options, small_size)
    return options.batch_size * (NUM_GLOBAL * large + 3 * student)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options, interpolation_offset=0.1, drop_path_rate=DROP_PATH_RATE
    )
    model = keras_capi.methods.IBOT(encoder, options.clusters)
    # The prototypes train from the start, so that the step is whole.
    optimizer = model.published_optimizer(
        10_000, options.batch_size, frozen_steps=0
    )
    batch = {
        **name_views(make_views(options)),
        "mask": make_masks(options).reshape(options.batch_size, NUM_GLOBAL, -1),
    }
    return model, optimizer, batch
