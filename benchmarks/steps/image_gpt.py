"""Image GPT's training step, on images a seventh as large: 32 pixels of 224.

Ours names the colours in the step, theirs finds them there. Each pixel is a
token, of which a place sees those before it.
"""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import make_images
from benchmarks.steps.views import perceptron_flops

NUM_COLORS = 512


def small_size(options):
    """Returns the side of the images."""
    return options.image_size // 7


def make_words(options):
    """Returns colours, an array of integers `(batch, pixels)`."""
    import numpy as np

    shape = options.batch_size, small_size(options) ** 2
    words = np.random.default_rng(0).integers(NUM_COLORS, size=shape)
    return words.astype("int32")


def flops(options):
    """Matrix products of a step, backward passes included.

    The order takes nothing off the attention, here as published. That which
    names the colours in our step is left out, 1 % or less.
    """
    width, _, layers, *_ = SIZES[options.size]
    pixels = small_size(options) ** 2
    blocks = layers * block_flops(width, pixels)
    head = pixels * perceptron_flops(width, NUM_COLORS)
    return 3 * options.batch_size * (blocks + head)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    width, heads, layers, *_ = SIZES[options.size]
    size = small_size(options)
    encoder = keras_capi.encoders.ImageGPTEncoder(
        layers, width, heads, size, num_colors=NUM_COLORS
    )
    model = keras_capi.methods.ImageGPT(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    return model, optimizer, make_images(options, size)
