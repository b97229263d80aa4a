"""The training step of the denoising autoencoder, on noise that is there."""

from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.vit import make_vit


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, _, _, _, patch_size = SIZES[options.size]
    image = encoder_flops(options, options.image_size)
    image += count_patches(options.image_size, patch_size) * perceptron_flops(
        width, 3 * patch_size**2
    )
    return 3 * options.batch_size * image


def build(options):
    """Returns a model, its optimizer and a batch."""
    import numpy as np

    import keras_capi

    model = keras_capi.methods.DenoisingAutoencoder(make_vit(options))
    optimizer = model.published_optimizer(10_000, options.batch_size)
    images = make_images(options)
    batch = {
        "images": images,
        "corrupted_images": images + images[::-1],
        "mask": np.ones(images.shape, bool),
    }
    return model, optimizer, batch
