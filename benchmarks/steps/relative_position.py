"""The training step of relative positions, on patches that are there.

Each of the nine patches of an image is encoded as an image of its own.
"""

from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.views import view_sizes
from benchmarks.steps.vit import make_vit

NUM_PATCHES, NUM_PAIRS, NUM_PLACES = 9, 40, 8
HEAD_RATIO = 4


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, *_ = SIZES[options.size]
    _, size = view_sizes(options)
    inner = HEAD_RATIO * width
    patch = encoder_flops(options, size) + perceptron_flops(width, inner)
    pair = perceptron_flops(2 * inner, inner, inner, NUM_PLACES)
    image = NUM_PATCHES * patch + NUM_PAIRS * pair
    return 3 * options.batch_size * image


def build(options):
    """Returns a model, its optimizer and a batch."""
    import numpy as np

    import keras_capi

    _, size = view_sizes(options)
    encoder = make_vit(options, size)
    # Whose head is four times as wide as the encoder.
    model = keras_capi.methods.RelativePosition(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    patches = np.stack([make_images(options, size)] * NUM_PATCHES, axis=1)
    return model, optimizer, {"patches": patches}
