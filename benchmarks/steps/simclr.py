"""SimCLR's training step, on views that are there: two large ones."""

from benchmarks.speed import SIZES
from benchmarks.steps import views
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.vit import make_vit

NUM_VIEWS, OUTPUT_WIDTH = 2, 128


def make_views(options):
    """Returns noise: `(batch, views, height, width, channels)`, in a list."""
    return views.make_views(options, NUM_VIEWS)


def flops(options):
    """Matrix products of a step, backward passes included.

    Those of all projections with each other, which small batches have few of,
    are left out.
    """
    width, *_ = SIZES[options.size]
    view = encoder_flops(options, options.image_size)
    view += perceptron_flops(width, width, width, OUTPUT_WIDTH)
    return 3 * options.batch_size * NUM_VIEWS * view


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options)
    # Whose defaults are the published head.
    model = keras_capi.methods.SimCLR(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    return model, optimizer, name_views(make_views(options))
