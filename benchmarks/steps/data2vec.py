"""data2vec's training step, on masks that are there."""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.hidden_patches import count_hidden
from benchmarks.steps.hidden_patches import draw_hidden
from benchmarks.steps.vit import make_vit

MASK_RATIO = 120 / 196
DROP_PATH_RATE, LAYER_SCALE = 0.25, 1e-4


def make_masks(options):
    """Returns a Boolean array `(batch, patches)`, true where hidden."""
    return draw_hidden(options, MASK_RATIO)


def flops(options):
    """Matrix products of a step, backward passes included.

    The head predicts hidden patches, in our step all, which is less than 1 %
    more. Stochastic depth is not subtracted, as published it computes all.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    encoder = 6 * patch_size**2 * width * patches
    encoder += layers * block_flops(width, patches + 1)
    head = 2 * width**2 * count_hidden(options, MASK_RATIO)
    return options.batch_size * (encoder + 3 * (encoder + head))


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    encoder = make_vit(
        options,
        positions=None,
        relative_positions="shared",
        use_key_bias=False,
        layer_scale=LAYER_SCALE,
        drop_path_rate=DROP_PATH_RATE,
    )
    # Whose targets are the last 6 layers, as published.
    model = keras_capi.methods.Data2Vec(encoder)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    batch = {"images": make_images(options), "mask": make_masks(options)}
    return model, optimizer, batch
