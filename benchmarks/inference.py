"""How many images a second does a backbone encode?

    python benchmarks/inference.py --backend torch --size tiny --batch-size 16

Predicts features of one batch of noise, in a compiled function where the
backend has one, and prints what `benchmarks/train_step.py` prints.
"""

import argparse
import json
import os
import resource
import time

from train_step import SIZES
from train_step import block_flops
from train_step import matmul_peak


def main(options):
    import keras
    import numpy as np

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
    shape = (options.batch_size, options.image_size, options.image_size, 3)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    peaks = [matmul_peak()]
    for _ in range(2):
        extractor.predict_on_batch(images)
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        extractor.predict_on_batch(images)
        seconds.append(time.perf_counter() - start)
    peaks.append(matmul_peak())

    low, median, high = np.percentile(seconds, (25, 50, 75))
    patches = (options.image_size // patch_size) ** 2
    flops = 6 * patch_size**2 * width * patches
    flops += layers * block_flops(width, patches + 16)
    flops *= options.batch_size
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result = {
        **vars(options),
        "batch_ms": [round(1e3 * float(x)) for x in (low, median, high)],
        "images_per_s": round(options.batch_size / float(median), 1),
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
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    main(arguments)
