"""SwAV's training step, on views that are there: two large, six small.

With a queue that is full, of fifteen batches, as published for 256 images.
"""

from benchmarks.speed import SIZES
from benchmarks.steps import views
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.views import view_sizes
from benchmarks.steps.vit import make_vit

NUM_GLOBAL, NUM_LOCAL = 2, 6
HEAD_WIDTHS = 2048, 128
QUEUE_BATCHES = 15


def make_views(options):
    """Returns noise: `(batch, views, height, width, channels)` of each size."""
    return views.make_views(options, NUM_GLOBAL, NUM_LOCAL)


def make_queue(options):
    """Returns directions, an array `(images, assigned views, width)`."""
    import numpy as np

    count = QUEUE_BATCHES * options.batch_size
    queue = np.random.default_rng(0).normal(
        size=(count, NUM_GLOBAL, HEAD_WIDTHS[-1])
    )
    queue /= np.linalg.norm(queue, axis=-1, keepdims=True)
    return queue.astype("float32")


def views_flops(options, num_scores=1):
    """Matrix products of a forward pass of all views of an image.

    Args:
        options: The parsed command line.
        num_scores: Integer. How often a view is scored by all prototypes.
    """
    width, *_ = SIZES[options.size]
    head = perceptron_flops(width, *HEAD_WIDTHS)
    head += num_scores * perceptron_flops(HEAD_WIDTHS[-1], options.clusters)
    large, small = (
        encoder_flops(options, size) + head for size in view_sizes(options)
    )
    return NUM_GLOBAL * large + NUM_LOCAL * small


def flops(options):
    """Matrix products of a step, backward passes included."""
    scores = perceptron_flops(HEAD_WIDTHS[-1], options.clusters)
    queue = QUEUE_BATCHES * NUM_GLOBAL * scores
    return options.batch_size * (3 * views_flops(options) + queue)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options, interpolation_offset=0.1)
    queue = make_queue(options)
    model = keras_capi.methods.SwAV(
        encoder, options.clusters, queue_size=len(queue)
    )
    model.queue(queue)
    # The prototypes train from the start, so that the step is whole.
    optimizer = model.published_optimizer(
        10_000, options.batch_size, frozen_steps=0
    )
    return model, optimizer, name_views(make_views(options))
