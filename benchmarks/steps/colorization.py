"""Colorization's training step, on images without colours that are there."""

from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.vit import make_vit

NUM_COLORS = 313
STRIDE, DEVIATION = 4, 40.0


def find_stride(options):
    """Returns of how many pixels one has its colour predicted, per axis."""
    patch_size = SIZES[options.size][-1]
    return max(n for n in range(1, STRIDE + 1) if patch_size % n == 0)


def make_colors(options):
    """Returns noise: `(batch, rows, columns, 2)`, a and b of CIE Lab."""
    import numpy as np

    side = options.image_size // find_stride(options)
    shape = (options.batch_size, side, side, 2)
    colors = np.random.default_rng(0).normal(scale=DEVIATION, size=shape)
    return colors.astype("float32")


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, _, _, _, patch_size = SIZES[options.size]
    places = (patch_size // find_stride(options)) ** 2
    head = perceptron_flops(width, places * NUM_COLORS)
    image = encoder_flops(options, options.image_size)
    image += count_patches(options.image_size, patch_size) * head
    return 3 * options.batch_size * image


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    model = keras_capi.methods.Colorization(make_vit(options))
    optimizer = model.published_optimizer(10_000, options.batch_size)
    batch = {
        "corrupted_images": make_images(options),
        "colors": make_colors(options),
    }
    return model, optimizer, batch
