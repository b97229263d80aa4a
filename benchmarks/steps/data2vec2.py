"""data2vec 2.0's training step, on masks that are there, sixteen an image."""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.vit import make_vit

NUM_MASKS, VISIBLE_RATIO = 16, 0.2
DECODER_LAYERS, KERNEL_SIZE, NUM_GROUPS = 6, 3, 16


def make_masks(options):
    """Returns the indices of patches that are seen, and that are predicted.

    Of shapes `(batch, masks, visible)` and `(batch, masks, predictions)`.
    Published masks are squares; which patches are seen changes no product.
    """
    import numpy as np

    patches = count_patches(options.image_size, SIZES[options.size][-1])
    numbers = np.random.default_rng(0).random(
        (options.batch_size, NUM_MASKS, patches)
    )
    order = numbers.argsort(axis=-1).astype("int32")
    visible = int(patches * VISIBLE_RATIO)
    return tuple(
        np.sort(indices, axis=-1)
        for indices in np.split(order, [visible], axis=-1)
    )


def flops(options):
    """Matrix products of a step, backward passes included.

    All patches of an image are embedded once. The decoder's last layer
    predicts visible patches too, here as published.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    visible = int(patches * VISIBLE_RATIO)
    convolution = 2 * KERNEL_SIZE**2 * width**2 // NUM_GROUPS
    decoder = patches * (DECODER_LAYERS * convolution + 2 * width**2)
    student = 6 * patch_size**2 * width * patches
    student += NUM_MASKS * (layers * block_flops(width, visible + 1) + decoder)
    teacher = encoder_flops(options, options.image_size)
    return options.batch_size * (teacher + 3 * student)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options, positions="sine", post_norm=True)
    # Whose targets are the last 10 layers, as published.
    model = keras_capi.methods.Data2Vec2(encoder, num_masks=NUM_MASKS)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    visible, hidden = make_masks(options)
    batch = {
        "images": make_images(options),
        "visible_indices": visible,
        "predict_indices": hidden,
    }
    return model, optimizer, batch
