"""I-JEPA's training step, on masks that are there: a context, four blocks.

Blocks have the mean of the published areas and shapes, and contexts are cut as
in a published batch, so that a step computes the same with any other. Where our
step draws the masks, it pads them: `MultiBlockMasking` lists 139 and 40 patches
of 196 in place of the 38 and 36 here, 2.5 times the products at size `tiny`.
"""

import math

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.vit import make_vit

NUM_BLOCKS = 4
BLOCK_AREA, ASPECT_RATIO, CONTEXT_AREA = 0.175, 1.125, 0.925
MIN_VISIBLE = 10
NUM_IMAGES = 128  # in a batch of a device
PREDICTOR_LAYERS, PREDICTOR_WIDTH = 12, 384


def _draw_masks(generator, side):
    """Returns which patches an image shows, and which are in its blocks."""
    import numpy as np

    def place(rows, columns):
        mask = np.zeros((side, side), bool)
        top = generator.integers(side - rows)
        left = generator.integers(side - columns)
        mask[top : top + rows, left : left + columns] = True
        return mask.ravel()

    area = BLOCK_AREA * side**2
    rows = round(math.sqrt(area * ASPECT_RATIO))
    columns = round(math.sqrt(area / ASPECT_RATIO))
    square = min(round(side * math.sqrt(CONTEXT_AREA)), side - 1)
    while True:
        blocks = np.stack([place(rows, columns) for _ in range(NUM_BLOCKS)])
        context = place(square, square) & ~blocks.any(axis=0)
        if context.sum() > MIN_VISIBLE:
            return context, blocks


def make_masks(options):
    """Returns the indices of patches that are seen, and that are predicted.

    Of shapes `(batch, visible)` and `(batch, blocks, predictions)`.
    """
    import numpy as np

    side = options.image_size // SIZES[options.size][-1]
    generator = np.random.default_rng(0)
    count = max(options.batch_size, NUM_IMAGES)
    contexts, blocks = zip(
        *(_draw_masks(generator, side) for _ in range(count)), strict=True
    )
    smallest = min(context.sum() for context in contexts)
    visible = np.stack([np.flatnonzero(mask)[:smallest] for mask in contexts])
    predicted = np.nonzero(blocks)[-1].reshape(count, NUM_BLOCKS, -1)
    return tuple(
        indices[: options.batch_size].astype("int32")
        for indices in (visible, predicted)
    )


def flops(options):
    """Matrix products of a step, backward passes included.

    The student embeds what it sees; in the authors' code it embeds all.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    visible, predicted = (masks.shape[-1] for masks in make_masks(options))

    def encoder(count):
        embedding = 6 * patch_size**2 * width * count
        return embedding + layers * block_flops(width, count)

    predictor = 2 * width * PREDICTOR_WIDTH * (visible + NUM_BLOCKS * predicted)
    predictor += (
        NUM_BLOCKS
        * PREDICTOR_LAYERS
        * block_flops(PREDICTOR_WIDTH, visible + predicted)
    )
    student = encoder(visible) + predictor
    return options.batch_size * (encoder(patches) + 3 * student)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options, class_token=False, positions="sine")
    # Whose defaults are the published sizes.
    model = keras_capi.methods.IJEPA(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    visible, predicted = make_masks(options)
    batch = {
        "images": make_images(options),
        "visible_indices": visible,
        "predict_indices": predicted,
    }
    return model, optimizer, batch
