"""Trains one model for some steps and says how fast, in a process of its own.

    python benchmarks/gpu/job.py OPTIONS

OPTIONS is a JSON object, see `jobs.py`. The last line of the output is one.
"""

import argparse
import importlib
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
# Not the folder of this file, whose names are none of a library's.
sys.path[:] = [x for x in sys.path if x != str(pathlib.Path(__file__).parent)]

# ruff: noqa: E402
from benchmarks.gpu.device import device_name
from benchmarks.gpu.device import peak_memory
from benchmarks.gpu.device import product_peak
from benchmarks.gpu.device import torch_device
from benchmarks.gpu.device import versions
from benchmarks.pairs.worker import BACKENDS
from benchmarks.pairs.worker import hide
from benchmarks.train_step import METHODS
from benchmarks.train_step import step_flops

# After the first, which compiles. torch compiles our blocks after ten steps,
# and records them in the step after that.
WARM_UP_STEPS = 13


def prepare_ours(options):
    """Makes a model that trains by `fit`, as users do.

    Returns:
        A function that trains for a step and returns its loss, and one that
        trains for a number of steps.
    """
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, batch, count):
            super().__init__()
            self.batch, self.count = batch, count

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            return (self.batch,)

    keras.utils.set_random_seed(0)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
    keras.config.set_dtype_policy(policy[options.precision])
    model, optimizer, batch = METHODS[options.method].build(options)
    model.compile(
        optimizer,
        jit_compile={"auto": "auto", "on": True, "off": False}[options.compile],
    )

    def loss():
        model.reset_metrics()
        return float(model.train_on_batch(batch, return_dict=True)["loss"])

    def run(count):
        model.fit(Batches(batch, count), verbose=0)

    return loss, run


def prepare_authors(options):
    """Makes the authors' model; the same functions as of `prepare_ours`."""
    options.device = torch_device()
    module = importlib.import_module(f"benchmarks.authors.{options.method}")
    step = module.training(options)

    def loss():
        # It waits for the GPU, as their loop does.
        values = step()
        return sum(values[:2]) if isinstance(values, list) else values

    def run(count):
        for _ in range(count):
            loss()

    return loss, run


PREPARE = {"ours": prepare_ours, "authors": prepare_authors}


def _timed(loss, run, steps):
    """Times a training.

    Args:
        loss: Function that trains for a step and returns its loss.
        run: Function that trains for a number of steps.
        steps: Integer. How many to measure.

    Returns:
        Dictionary: the seconds of the first step and of the measured ones, and
        the losses at both ends.
    """
    start = time.perf_counter()
    first_loss = loss()
    first = time.perf_counter() - start
    run(WARM_UP_STEPS)
    start = time.perf_counter()
    run(steps)
    seconds = time.perf_counter() - start
    return {
        "first_step_s": first,
        "seconds": seconds,
        "losses": (first_loss, loss()),
    }


def measure(options):
    """Returns the figures of a job, see `table.py`."""
    trained = _timed(*PREPARE[options.side](options), options.steps)
    # Before the large matrices.
    memory = peak_memory(options.backend)
    peak = product_peak(
        options.backend, options.precision, options.product_size
    )
    step = trained["seconds"] / options.steps
    return {
        "images_per_s": options.batch_size / step,
        "utilisation": step_flops(options) / step / peak,
        "peak_tflop_per_s": peak / 1e12,
        "peak_memory_gib": memory,
        "first_step_s": trained["first_step_s"],
        "losses": trained["losses"],
        "device": device_name(options.backend),
        "versions": versions(),
    }


if __name__ == "__main__":
    options = argparse.Namespace(**json.loads(sys.argv[1]))
    os.environ["KERAS_BACKEND"] = options.backend
    hide(BACKENDS - {options.backend})
    print(json.dumps(measure(options)), flush=True)
