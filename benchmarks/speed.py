"""What the benchmarks of speed share: sizes, measuring, command line."""

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
COMPARED_ROUNDS = 4


def block_flops(width, queries, others=None):
    """Matrix products of a block's forward pass, for one image."""
    keys = queries if others is None else others
    projections = 2 * width**2 * (2 * queries + 2 * keys)
    attention = 4 * width * queries * keys
    perceptron = 16 * width**2 * queries
    return projections + attention + perceptron


def count_patches(image_size, patch_size):
    """Returns the number of patches of an image."""
    return (image_size // patch_size) ** 2


def keras_product(matrix):
    """Returns a function that multiplies a matrix by itself and waits.

    By the library that the package multiplies with, where that is not Keras's.
    """
    import keras

    from keras_capi.backend import matrix_product

    matrix = keras.ops.convert_to_tensor(matrix)
    return lambda: keras.ops.convert_to_numpy(
        matrix_product(matrix, matrix)[0, 0]
    )


def matmul_peak(make_product=keras_product, repetitions=12):
    """Returns the machine's FLOP/s in a large float32 matrix product."""
    import numpy as np

    matrix = np.random.default_rng(0).normal(size=(MATRIX_SIZE,) * 2)
    product = make_product(matrix.astype("float32"))
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return 2 * MATRIX_SIZE**3 / min(seconds)


def make_parser(description, steps):
    """Returns the parser of the options that all benchmarks of speed take."""
    # A benchmark of several backends replaces the option.
    parser = argparse.ArgumentParser(
        description=description, conflict_handler="resolve"
    )
    parser.add_argument("--backend", default=os.getenv("KERAS_BACKEND", "jax"))
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--steps", type=int, default=steps)
    return parser


def make_images(options, size=None):
    """Returns a batch of noise, of the images' size or another."""
    import numpy as np

    size = size or options.image_size
    shape = (options.batch_size, size, size, 3)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def measure(run, flops, options):
    """Times a function and says what came out.

    Args:
        run: Function of no arguments that handles one batch and waits for it.
        flops: Number. The matrix products of one call.
        options: The parsed command line.

    Returns:
        Dictionary of figures.
    """
    import numpy as np

    peaks = [matmul_peak()]
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    run()
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    peaks.append(matmul_peak())
    low, median, high = np.percentile(seconds, (25, 50, 75))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "first_step_s": round(first, 1),
        "step_ms": [round(1e3 * float(x)) for x in (low, median, high)],
        "images_per_s": round(options.batch_size / float(median), 1),
        "gflop_per_step": round(flops / 1e9, 1),
        "peak_gflop_per_s": [round(peak / 1e9) for peak in peaks],
        "share_of_peak": round(flops / float(median) / max(peaks), 3),
        "peak_memory_gib": round(memory, 2),
    }


def main(what, build, flops, parser):
    """Measures and prints, records, or compares with records.

    Args:
        what: String. What `pairs/worker.py` calls it.
        build: Function of the options that returns the work.
        flops: Function of the options that returns its matrix products.
        parser: Of the options.

    Returns:
        Integer, the exit status.
    """
    from benchmarks.pairs.records import append_record
    from benchmarks.pairs.records import compare
    from benchmarks.pairs.records import read_records

    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--compare", metavar="FILE")
    options = parser.parse_args()
    settings = vars(options)
    record, path = settings.pop("record"), settings.pop("compare")
    if path:
        steps = max(options.steps // COMPARED_ROUNDS, 1)
        return compare(read_records(path), COMPARED_ROUNDS, steps)
    os.environ["KERAS_BACKEND"] = options.backend
    result = measure(build(options), flops(options), options)
    print(json.dumps(settings | result), flush=True)
    if record:
        append_record(record, settings | {"side": "ours", "what": what}, result)
    return 0
