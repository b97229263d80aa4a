"""DINOv2's training step, on DINO's views.

Ours draws its masks in the step, theirs finds them there: half of the large
views have one, and as many patches are scored at most.
"""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.steps.dino import HEAD_WIDTHS
from benchmarks.steps.dino import NUM_GLOBAL
from benchmarks.steps.dino import NUM_LOCAL
from benchmarks.steps.dino import make_views
from benchmarks.steps.views import encoder_flops
from benchmarks.steps.views import name_views
from benchmarks.steps.views import perceptron_flops
from benchmarks.steps.views import view_sizes
from benchmarks.steps.vit import make_vit

DROP_PATH_RATE, LAYER_SCALE = 0.3, 1e-5
MASK_RATIOS = 0.1, 0.5
MASKED_SHARE = 0.5


def count_hidden(options):
    """Returns how many patches of a batch are scored, the most there can be."""
    import numpy as np

    num_masks = int(options.batch_size * NUM_GLOBAL * MASKED_SHARE)
    patches = count_patches(options.image_size, SIZES[options.size][-1])
    # Each mask has a ratio of its own part of the range.
    ends = np.linspace(*MASK_RATIOS, num_masks + 1)[1:]
    return int((ends * patches).astype(int).sum())


def flops(options):
    """Matrix products of a step, backward passes included.

    Of the views of a size, stochastic depth computes blocks for a share.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    head = perceptron_flops(width, *HEAD_WIDTHS, options.clusters)
    large_size, small_size = view_sizes(options)
    student = 0
    for size, views in ((large_size, NUM_GLOBAL), (small_size, NUM_LOCAL)):
        count = options.batch_size * views
        dropped = count - max(int(count * (1 - DROP_PATH_RATE)), 1)
        blocks = layers * block_flops(
            width, count_patches(size, patch_size) + 1
        )
        view = encoder_flops(options, size) + head
        student += count * view - dropped * blocks
    patches = count_hidden(options) * head
    view = encoder_flops(options, large_size) + head
    teacher = options.batch_size * NUM_GLOBAL * view + patches
    return teacher + 3 * (student + patches)


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options,
        interpolation_offset=0.1,
        layer_scale=LAYER_SCALE,
        drop_path_rate=DROP_PATH_RATE,
        drop_path_method="efficient",
    )
    model = keras_capi.methods.DINOv2(
        encoder, options.clusters, options.clusters
    )
    # The prototypes train from the start, so that the step is whole.
    optimizer = model.published_optimizer(
        10_000, options.batch_size, frozen_steps=0
    )
    return model, optimizer, name_views(make_views(options))
