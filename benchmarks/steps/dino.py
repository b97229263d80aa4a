"""DINO's training step, on views that are there: two large, eight small."""

from benchmarks.speed import SIZES
from benchmarks.steps import views
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.views import view_sizes
from benchmarks.steps.vit import make_vit

NUM_GLOBAL, NUM_LOCAL = 2, 8
HEAD_WIDTHS = 2048, 2048, 256
DROP_PATH_RATE = 0.1


def make_views(options):
    """Returns noise: `(batch, views, height, width, channels)` of each size."""
    return views.make_views(options, NUM_GLOBAL, NUM_LOCAL)


def view_flops(options, size, tokens=1):
    """Matrix products of a view's forward pass, of which the head has tokens.

    Stochastic depth is not subtracted, as published it computes all.
    """
    width, *_ = SIZES[options.size]
    head = perceptron_flops(width, *HEAD_WIDTHS, options.clusters)
    return encoder_flops(options, size) + tokens * head


def flops(options):
    """Matrix products of a step, backward passes included."""
    large, small = (view_flops(options, size) for size in view_sizes(options))
    student = NUM_GLOBAL * large + NUM_LOCAL * small
    return options.batch_size * (NUM_GLOBAL * large + 3 * student)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options, interpolation_offset=0.1, drop_path_rate=DROP_PATH_RATE
    )
    model = keras_capi.methods.DINO(encoder, options.clusters)
    # The prototypes train from the start, so that the step is whole.
    optimizer = model.published_optimizer(
        10_000, options.batch_size, frozen_steps=0
    )
    return model, optimizer, name_views(make_views(options))
