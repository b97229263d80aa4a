"""How many images a second does a backbone encode?

    python benchmarks/inference.py --backend torch --size tiny --batch-size 16

Predicts features of one batch of noise, in a compiled function where the
backend has one, and prints what `benchmarks/train_step.py` prints.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import main
from benchmarks.speed import make_images
from benchmarks.speed import make_parser

NUM_REGISTERS = 16


def encoder_flops(options):
    """Matrix products of a batch's features."""
    width, _, layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)
    flops = 6 * patch_size**2 * width * patches
    flops += layers * block_flops(width, patches + NUM_REGISTERS)
    return options.batch_size * flops


def build(options):
    """Returns a function that predicts features of a batch."""
    import keras

    import keras_capi

    keras.config.set_dtype_policy(options.precision)
    width, heads, layers, _, patch_size = SIZES[options.size]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size,
        layers,
        1,
        width,
        num_heads=heads,
        drop_path_rate=0.0,
    )
    # The global feature comes from the predictor; patches need the encoder.
    extractor = keras_capi.models.FeatureExtractor(backbone, ("average",))
    images = make_images(options)
    return lambda: extractor.predict_on_batch(images)


if __name__ == "__main__":
    options = make_parser(__doc__.splitlines()[0], steps=10)
    sys.exit(main("inference", build, encoder_flops, options))
