"""How many copies of all assignments does a step with many clusters hold?

    python benchmarks/clustering_memory.py

The assignments of a batch of 64 images, 49 positions and 16384 clusters are a
float32 array of 196 MiB. Trains a CAPI model whose other parts are small, on
each backend and with different `chunk_size`s, each in a process of its own:
three steps, of which the first compiles. Prints by how much the memory of the
process (its resident set, of which Linux keeps the maximum) was higher in the
last step than before it, in MiB and in such arrays. Numbers of others are
noisy, but memory is not: it may be measured while the machine does other work.
"""

import argparse
import gc
import json
import os
import pathlib
import subprocess
import sys

PATCH_SIZE = 4
GRID = 7
BACKENDS = ("tensorflow", "jax", "torch")
MEBIBYTE = 2**20


def read_status(name):
    """Returns a number of Linux about this process, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status must have {name}.")


def step_memory(step):
    """Returns the memory before a step, and the most during it."""
    gc.collect()
    # The maximum is from now on.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = read_status("VmRSS")
    step()
    return before, read_status("VmHWM")


def measure(options):
    import keras
    import numpy as np

    import keras_capi

    keras.utils.set_random_seed(0)
    backbone = keras_capi.models.CAPIBackbone(
        PATCH_SIZE,
        num_layers=1,
        predictor_num_layers=1,
        hidden_dim=options.width,
        num_heads=2,
        num_register_tokens=4,
        image_shape=(GRID * PATCH_SIZE,) * 2 + (3,),
    )
    clustering = keras_capi.layers.OnlineClustering(
        options.clusters, chunk_size=options.chunk_size
    )
    model = keras_capi.models.CAPI(backbone, clustering=clustering)
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
    shape = (options.batch_size, *backbone.image_shape)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    for _ in range(2):
        small, _ = step_memory(lambda: model.train_on_batch(images[:2]))
    for _ in range(3):
        before, most = step_memory(lambda: model.train_on_batch(images))
    copy = 4 * options.batch_size * GRID**2 * options.clusters
    result = {
        "backend": keras.backend.backend(),
        "chunk_size": options.chunk_size,
        "small": round(small / MEBIBYTE),
        "before_mib": round(before / MEBIBYTE),
        "step_mib": round((most - before) / MEBIBYTE),
        "copies": round((most - before) / copy, 2),
    }
    print(json.dumps(result), flush=True)


def main(options):
    for backend in options.backends:
        for chunk_size in options.chunk_sizes:
            command = [sys.executable, __file__, "--measure"]
            for name in ("batch_size", "clusters", "width"):
                value = getattr(options, name)
                command += ["--" + name.replace("_", "-"), str(value)]
            if chunk_size:
                command += ["--chunk-size", str(chunk_size)]
            environment = {
                **os.environ,
                "KERAS_BACKEND": backend,
                # Large arrays go back to the system when they are freed.
                "MALLOC_MMAP_THRESHOLD_": str(MEBIBYTE),
            }
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=16384)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument(
        "--chunk-sizes",
        nargs="+",
        type=int,
        default=(GRID**2, 0, 16, 4),
        help="0 is the layer's default, 49 all positions at once.",
    )
    parser.add_argument("--measure", action="store_true", help="Internal.")
    parser.add_argument("--chunk-size", type=int, help="Internal.")
    arguments = parser.parse_args()
    measure(arguments) if arguments.measure else main(arguments)
