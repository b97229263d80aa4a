"""SimMIM's training step, on masks that are there: three fifths in cells."""

import math

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.vit import make_vit

CELL_SIZE = 2  # patches
MASK_RATIO = 0.6
DROP_PATH_RATE, LAYER_SCALE = 0.1, 0.1


def make_masks(options):
    """Returns a Boolean array `(batch, rows, columns)`, true where hidden."""
    import numpy as np

    side = options.image_size // SIZES[options.size][-1] // CELL_SIZE
    numbers = np.random.default_rng(0).random((options.batch_size, side**2))
    ranks = numbers.argsort(axis=1).argsort(axis=1)
    hidden = ranks < math.ceil(side**2 * MASK_RATIO)
    cells = hidden.reshape(-1, side, side)
    return cells.repeat(CELL_SIZE, axis=1).repeat(CELL_SIZE, axis=2)


def flops(options):
    """Matrix products of a step, backward passes included.

    Stochastic depth is not subtracted, as published it computes all.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    embedding = head = 6 * patch_size**2 * width * patches
    encoder = layers * block_flops(width, patches + 1)
    return 3 * options.batch_size * (embedding + encoder + head)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options,
        positions=None,
        relative_positions="shared",
        use_key_bias=False,
        layer_scale=LAYER_SCALE,
        drop_path_rate=DROP_PATH_RATE,
    )
    model = keras_capi.methods.SimMIM(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    mask = make_masks(options).reshape(options.batch_size, -1)
    return model, optimizer, {"images": make_images(options), "mask": mask}
