"""How long is a training step, against what the machine can do?

    python benchmarks/train_step.py --backend jax --size tiny --batch-size 16

Trains on one batch of noise and prints images per second, the median step time
with its quartiles, the peak memory of the process, and the share of the
machine's peak: the step's matrix products, counted from the sizes, over the
time that they would take at the speed of a float32 product of two 2048 x 2048
matrices, measured before and after. With `--compile` a backend's compiler is
forced on or off; `auto` is Keras's choice.
"""

import argparse
import json
import os
import resource
import time

SIZES = {
    # hidden_dim, num_heads, num_layers, predictor_num_layers, patch_size
    "tiny": (192, 3, 12, 6, 16),
    "small": (384, 6, 12, 6, 14),
    "base": (768, 12, 12, 6, 14),
    "large": (1024, 16, 24, 12, 14),
}
MATRIX_SIZE = 2048


def block_flops(width, queries, others=None):
    """Matrix products of a block's forward pass, for one image."""
    keys = queries if others is None else others
    projections = 2 * width**2 * (2 * queries + 2 * keys)
    attention = 4 * width * queries * keys
    perceptron = 16 * width**2 * queries
    return projections + attention + perceptron


def step_flops(model, options):
    """Matrix products of a training step, backward passes included."""
    width, _, num_layers, predictor_num_layers, patch_size = SIZES[options.size]
    grid = (options.image_size // patch_size,) * 2
    visible, predicted = model.masking.count_patches(grid)
    patches = grid[0] * grid[1]
    registers = 16
    pixels = 3 * patch_size**2
    kept = max(int(options.batch_size * 0.8), 1) / options.batch_size
    teacher = 2 * pixels * width * patches
    teacher += num_layers * block_flops(width, patches + registers)
    clustering = 2 * width * options.clusters * patches
    student = 2 * pixels * width * visible
    student += kept * num_layers * block_flops(width, visible + registers)
    student += (
        kept
        * predictor_num_layers
        * block_flops(width, predicted, visible + registers)
    )
    head = 2 * width * options.clusters * predicted
    # A backward pass takes two products for each one of the forward pass, but
    # the clustering needs no gradient of its input.
    return options.batch_size * (
        teacher + 2 * clustering + 3 * (student + head)
    )


def matmul_peak():
    """Returns the machine's FLOP/s in a large float32 matrix product."""
    import keras
    import numpy as np

    matrix = keras.ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=(MATRIX_SIZE,) * 2), "float32"
    )
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix)[0, 0])
        seconds.append(time.perf_counter() - start)
    return 2 * MATRIX_SIZE**3 / min(seconds)


def main(options):
    import keras
    import numpy as np

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
        drop_path_rate=0.2,
        image_shape=(options.image_size, options.image_size, 3),
    )
    model = keras_capi.models.CAPI(backbone, options.clusters)
    model.compile(
        keras_capi.optimizers.capi_optimizer(1e-3),
        jit_compile={"auto": "auto", "on": True, "off": False}[options.compile],
    )
    shape = (options.batch_size, options.image_size, options.image_size, 3)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")

    peaks = [matmul_peak()]
    start = time.perf_counter()
    model.train_on_batch(images)
    first = time.perf_counter() - start
    model.train_on_batch(images)
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        model.train_on_batch(images)
        seconds.append(time.perf_counter() - start)
    peaks.append(matmul_peak())

    low, median, high = np.percentile(seconds, (25, 50, 75))
    flops = step_flops(model, options)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result = {
        **vars(options),
        "first_step_s": round(first, 1),
        "step_ms": [round(1e3 * float(x)) for x in (low, median, high)],
        "images_per_s": round(options.batch_size / float(median), 1),
        "gflop_per_step": round(flops / 1e9, 1),
        "peak_gflop_per_s": [round(peak / 1e9) for peak in peaks],
        "share_of_peak": round(flops / float(median) / max(peaks), 3),
        "peak_memory_gib": round(memory, 2),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default=os.getenv("KERAS_BACKEND", "jax"))
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--clusters", type=int, default=4096)
    parser.add_argument("--precision", default="float32")
    parser.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto"
    )
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    main(arguments)
