"""How long is a training step, against what the machine can do?

    python benchmarks/train_step.py --backend jax --size tiny --batch-size 16

Trains on one batch of noise and prints images per second, the median step time
with its quartiles, the peak memory of the process, and the share of the
machine's peak: the step's matrix products, counted from the sizes, over the
time that they would take at the speed of a float32 product of two 2048 x 2048
matrices, measured before and after. With `--compile` a backend's compiler is
forced on or off; `auto` is Keras's choice.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import make_images
from benchmarks.speed import make_parser
from benchmarks.speed import measure

NUM_REGISTERS = 16
DROP_PATH_RATE = 0.2
MASK_RATIO, PREDICTED = 0.65, 0.05


def count_patches(options):
    """Returns how many patches an image has, shows, and has predicted."""
    patches = (options.image_size // SIZES[options.size][-1]) ** 2
    masked = int(patches * MASK_RATIO)
    return patches, patches - masked, int(masked * PREDICTED)


def step_flops(options):
    """Matrix products of a training step, backward passes included."""
    width, _, layers, predictor_layers, patch_size = SIZES[options.size]
    patches, visible, predicted = count_patches(options)
    pixels = 3 * patch_size**2
    batch_size = options.batch_size
    kept = max(int(batch_size * (1 - DROP_PATH_RATE)), 1) / batch_size
    teacher = 2 * pixels * width * patches
    teacher += layers * block_flops(width, patches + NUM_REGISTERS)
    clustering = 2 * width * options.clusters * patches
    student = 2 * pixels * width * visible
    context = visible + NUM_REGISTERS
    student += kept * layers * block_flops(width, context)
    student += kept * predictor_layers * block_flops(width, predicted, context)
    head = 2 * width * options.clusters * predicted
    # A backward pass takes two products for each one of the forward pass, but
    # the clustering needs no gradient of its input.
    return batch_size * (teacher + 2 * clustering + 3 * (student + head))


def build(options):
    """Returns a function that trains for a step and waits for it."""
    import keras

    import keras_capi

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.precision)
    width, heads, layers, predictor_layers, patch_size = SIZES[options.size]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size,
        layers,
        predictor_layers,
        width,
        num_heads=heads,
        drop_path_rate=DROP_PATH_RATE,
        image_shape=(options.image_size, options.image_size, 3),
    )
    clustering = keras_capi.layers.OnlineClustering(
        options.clusters, chunk_size=options.chunk_size
    )
    model = keras_capi.models.CAPI(backbone, clustering=clustering)
    model.compile(
        keras_capi.optimizers.capi_optimizer(1e-3),
        jit_compile={"auto": "auto", "on": True, "off": False}[options.compile],
    )
    images = make_images(options)
    return lambda: model.train_on_batch(images)


def parser():
    parser = make_parser(__doc__.splitlines()[0], steps=20)
    parser.add_argument("--clusters", type=int, default=4096)
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto"
    )
    return parser


if __name__ == "__main__":
    arguments = parser().parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    measure(build(arguments), step_flops(arguments), arguments)
