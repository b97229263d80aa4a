"""The training step of rotation prediction, on turned images that are there."""

from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.vit import make_vit

NUM_TURNS = 4


def make_turns(options):
    """Returns images in all turns, `(batch, turns, ...)`, and their numbers."""
    import numpy as np

    images = make_images(options)
    turned = [np.rot90(images, turn, (1, 2)) for turn in range(NUM_TURNS)]
    labels = np.arange(NUM_TURNS, dtype="int32")
    return np.stack(turned, axis=1), np.tile(labels, (options.batch_size, 1))


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, *_ = SIZES[options.size]
    image = encoder_flops(options, options.image_size)
    image += perceptron_flops(width, NUM_TURNS)
    return 3 * options.batch_size * NUM_TURNS * image


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    model = keras_capi.methods.RotationPrediction(make_vit(options))
    optimizer = model.published_optimizer(10_000, options.batch_size)
    images, labels = make_turns(options)
    return model, optimizer, {"rotated_images": images, "labels": labels}
