"""One side of a pair: a process that works when it is told to.

    python benchmarks/pairs/worker.py OPTIONS

OPTIONS is a JSON object: `side` (`"ours"` or `"authors"`), `what` (`"train"` or
`"inference"`), `backend` and sizes. The process builds its work, does it some
times, and says so on the standard output. From then on it reads `{"steps": 5}`
from the standard input, works that often, and answers with seconds, until the
input ends. `benchmarks/train_step.py --compare` runs the workers of former
commits, so what is read and written must not change its meaning.
"""

import argparse
import importlib
import importlib.machinery
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
PRODUCTS = 4  # of large matrices before each slice, the fastest counts
BACKENDS = {"jax", "tensorflow", "torch"}


def hide(packages):
    """Makes packages as if they were not installed.

    Keras imports each backend that it finds, for its conversions, which takes
    memory and seconds that an installation with one of them does not spend.
    """

    class Finder(importlib.machinery.PathFinder):
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            if fullname in packages:
                return None
            return super().find_spec(fullname, path, target)

    place = sys.meta_path.index(importlib.machinery.PathFinder)
    sys.meta_path[place] = Finder


def build(options):
    """Returns a function that does the work once and waits for it."""
    if options.side == "authors":
        module = importlib.import_module(f"benchmarks.authors.{options.method}")
        name = {"train": "training", "inference": "inference"}[options.what]
        return getattr(module, name)(options)
    name = {"train": "train_step", "inference": "inference"}[options.what]
    return importlib.import_module(f"benchmarks.{name}").build(options)


def torch_product(matrix):
    """As `keras_product`, where there is no Keras."""
    import torch

    matrix = torch.from_numpy(matrix)
    return lambda: torch.mm(matrix, matrix)[0, 0].item()


def tensorflow_product(matrix):
    """Likewise, in TensorFlow."""
    import tensorflow

    matrix = tensorflow.constant(matrix)
    return lambda: tensorflow.linalg.matmul(matrix, matrix)[0, 0].numpy()


def _memory():
    """Peak memory in GiB: of the process, or since `_forget_memory`."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    raise RuntimeError("The kernel does not tell peak memory.")


def _forget_memory():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def serve(run, peak, read, write, num_warm_up=1):
    """Warms up, then answers requests until there are no more.

    Args:
        run: Function of no arguments that does the work once.
        peak: Function of no arguments that returns the FLOP/s of a large
            matrix product.
        read: Iterable of lines.
        write: Function of a dictionary.
        num_warm_up: Integer. How often to run after the first time.
    """
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    for _ in range(num_warm_up):
        run()
    write({"first_step_s": round(first, 1), "memory_gib": _memory()})
    _forget_memory()
    for line in read:
        peak_flops = peak()
        run()  # the other side has used the caches
        seconds, cpu_seconds = [], []
        for _ in range(json.loads(line)["steps"]):
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)
        write(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_flops": peak_flops,
                "memory_gib": _memory(),
            }
        )


def main(options):
    os.environ["KERAS_BACKEND"] = options.backend
    hide(BACKENDS - {options.backend})
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def write(answer):
        print(json.dumps(answer), file=answers, flush=True)

    from benchmarks.speed import keras_product
    from benchmarks.speed import matmul_peak

    product = keras_product
    if options.side == "authors":
        products = {"torch": torch_product, "tensorflow": tensorflow_product}
        product = products[options.backend]
    serve(
        build(options),
        lambda: matmul_peak(product, PRODUCTS),
        sys.stdin,
        write,
        # torch compiles our blocks after ten steps.
        num_warm_up=11 if options.side == "ours" else 1,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    # Not the folder of this file, whose names are none of a library's.
    sys.path.remove(str(pathlib.Path(__file__).parent))
    main(argparse.Namespace(**json.loads(sys.argv[1])))
