"""The context encoder's training step, on regions that are painted over.

Both networks learn in it, the discriminator first.
"""

import itertools

from benchmarks.speed import make_images
from benchmarks.steps import denoising_autoencoder
from benchmarks.steps.vit import make_vit

KERNEL_SIZE = 4
FILTERS = 3, 64, 128, 256, 512


def _convolution_flops(size):
    """Matrix products of each convolution of a square image."""
    for inner, outer in itertools.pairwise(FILTERS):
        size //= 2
        if size < KERNEL_SIZE:
            return
        yield 2 * size**2 * KERNEL_SIZE**2 * inner * outer


def flops(options):
    """Matrix products of a step, backward passes included.

    The discriminator scores real and made regions to learn, without a gradient
    of the pixels, then made ones, without a gradient of its weights. Its last
    layer, of one number an image, is left out.
    """
    layers = list(_convolution_flops(options.image_size // 2))
    learning = 2 * (3 * sum(layers) - layers[0])
    discriminator = learning + 2 * sum(layers)
    return (
        denoising_autoencoder.flops(options)
        + options.batch_size * discriminator
    )


def build(options):
    """Returns a model, its optimizer and a batch."""
    import numpy as np

    import keras_capi

    model = keras_capi.methods.ContextEncoder(make_vit(options))
    optimizer = model.published_optimizer(10_000, options.batch_size)
    images = make_images(options)
    mask = np.zeros(images.shape, bool)
    quarter = options.image_size // 4
    mask[:, quarter:-quarter, quarter:-quarter] = True
    batch = {
        "images": images,
        "corrupted_images": np.where(mask, 0.0, images).astype("float32"),
        "mask": mask,
    }
    return model, optimizer, batch
