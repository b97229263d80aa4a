"""DeepCluster v2's training step, on SwAV's views.

Its clusters are there: they are made between epochs, of what the steps have
remembered.
"""

from benchmarks.steps.swav import make_views
from benchmarks.steps.swav import views_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.vit import make_vit

NUM_CLUSTERINGS = 3


def make_labels(options):
    """Returns an array of integers `(clusterings, images)`."""
    import numpy as np

    labels = np.random.default_rng(0).integers(
        options.clusters, size=(NUM_CLUSTERINGS, options.batch_size)
    )
    return labels.astype("int32")


def make_indices(options):
    """Returns the numbers of the images of the batch, which are all there."""
    import numpy as np

    return np.arange(options.batch_size, dtype="int32")


def flops(options):
    """Matrix products of a step, backward passes included.

    The prototypes, which are as k-means made them, have no gradient.
    """
    step = 3 * views_flops(options, NUM_CLUSTERINGS)
    without = views_flops(options, 0)
    scores = views_flops(options, NUM_CLUSTERINGS) - without
    return options.batch_size * (step - scores)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(options, interpolation_offset=0.1)
    labels = make_labels(options)
    model = keras_capi.methods.DeepCluster(
        encoder,
        (options.clusters,) * NUM_CLUSTERINGS,
        num_images=options.batch_size,
    )
    model.memory.labels.assign(labels)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    batch = {
        **name_views(make_views(options)),
        "indices": make_indices(options),
    }
    return model, optimizer, batch
