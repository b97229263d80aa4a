"""BEiT's training step, on words that are there.

The tokenizer, which makes the words, is in neither step. Ours draws its masks
in the step, theirs, which has as many hidden patches, finds them there.
"""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.hidden_patches import count_hidden
from benchmarks.steps.hidden_patches import draw_hidden
from benchmarks.steps.vit import make_vit

MASK_RATIO = 75 / 196
VOCABULARY_SIZE = 8192
DROP_PATH_RATE, LAYER_SCALE = 0.1, 0.1


def make_masks(options):
    """Returns a Boolean array `(batch, patches)`, true where hidden."""
    return draw_hidden(options, MASK_RATIO)


def make_words(options):
    """Returns an array of integers `(batch, patches)`."""
    import numpy as np

    shape = make_masks(options).shape
    words = np.random.default_rng(0).integers(VOCABULARY_SIZE, size=shape)
    return words.astype("int32")


def flops(options):
    """Matrix products of a step, backward passes included.

    Stochastic depth is not subtracted, as published it computes all.
    """
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    embedding = 6 * patch_size**2 * width * patches
    encoder = layers * block_flops(width, patches + 1)
    hidden = count_hidden(options, MASK_RATIO)
    head = 2 * width * VOCABULARY_SIZE * hidden
    return 3 * options.batch_size * (embedding + encoder + head)


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
    # As small as one can be that has the words: it does not work here.
    tokenizer = keras_capi.tokenizers.DALLETokenizer(
        VOCABULARY_SIZE, hidden_dim=1, num_blocks=1
    )
    model = keras_capi.methods.BEiT(encoder, tokenizer)
    optimizer = model.published_optimizer(10_000, options.batch_size)
    batch = {
        "images": make_images(options),
        "token_ids": make_words(options),
    }
    return model, optimizer, batch
