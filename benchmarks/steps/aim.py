"""AIM's training step, on prefixes that are there: half of the patches."""

from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import perceptron_flops

HEAD_LAYERS = 12


def make_prefixes(options):
    """Returns an array of integers `(batch,)`: patches that are given."""
    import numpy as np

    patches = count_patches(options.image_size, SIZES[options.size][-1])
    return np.full(options.batch_size, patches // 2, "int32")


def flops(options):
    """Matrix products of a step, backward passes included.

    The order takes nothing off the attention, here as published. The head is
    as wide as the encoder.
    """
    width, _, _, _, patch_size = SIZES[options.size]
    head = HEAD_LAYERS * perceptron_flops(width, 4 * width, width)
    head += perceptron_flops(width, width)
    head += perceptron_flops(width, 3 * patch_size**2)
    image = encoder_flops(options, options.image_size, tokens=0)
    image += count_patches(options.image_size, patch_size) * head
    return 3 * options.batch_size * image


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    width, heads, layers, _, patch_size = SIZES[options.size]
    encoder = keras_capi.encoders.AIMEncoder(
        patch_size,
        layers,
        width,
        heads,
        image_shape=(options.image_size, options.image_size, 3),
    )
    model = keras_capi.methods.AIM(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    batch = {
        "images": make_images(options),
        "prefix_length": make_prefixes(options),
    }
    return model, optimizer, batch
