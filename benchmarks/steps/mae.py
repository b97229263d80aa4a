"""MAE's training step, with the published decoder of 8 blocks, 512 wide."""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.vit import make_vit

DECODER_LAYERS, DECODER_WIDTH = 8, 512


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    visible = int(patches * 0.25)
    pixels = 3 * patch_size**2
    encoder = 2 * pixels * width * patches
    encoder += layers * block_flops(width, visible + 1)
    decoder = 2 * width * DECODER_WIDTH * (visible + 1)
    decoder += DECODER_LAYERS * block_flops(DECODER_WIDTH, patches + 1)
    decoder += 2 * DECODER_WIDTH * pixels * (patches + 1)
    return 3 * options.batch_size * (encoder + decoder)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options, positions="sine")
    model = keras_capi.methods.MAE(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    return model, optimizer, make_images(options)
