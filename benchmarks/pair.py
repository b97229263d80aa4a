"""Ours and the authors' code in turns, in one run on one machine.

    python benchmarks/pair.py --authors CAPI --backend jax torch --size tiny
    python benchmarks/pair.py --authors MAE --method mae --batch-size 8

CAPI is a checkout of github.com/facebookresearch/capi, others those of their
methods, see `authors/`, which say what packages some need: `timm`, and SwAV's a
file of `apex`. Their training step, or with `--what inference` CAPI's encoder,
runs under `torch.compile` (TensorFlow's under XLA), with `--compile-theirs off`
eagerly, in a process beside those of our backends. Each process sees one
backend, is built and warmed up once; then they take turns, a few steps each, so
that one computes at a time and all see the same machine. Prints a JSON object
for each backend:

- `ratio`: our time over theirs, the median over the rounds, the least and the
  largest; `cpu_ratio` is the same of the CPU time of all threads, which other
  programs on the machine disturb less;
- for each side quartiles of the milliseconds, seconds of the first step,
  which includes what is compiled (a compiler's cache on the disk may help;
  `--fresh` begins with empty ones), the peak memory since the warm-up and
  that of the warm-up, and the share that the matrix products take of the
  speed of a product of two 2048 x 2048 matrices, measured in all slices: of
  the fastest of the run, and of the fastest of this side's library.

Both sides get the same batch of noise: theirs as a tensor, ours as an array
that becomes one in each step. Both wait for the losses in each step, and for
the features. The masks of CAPI, MAE, BEiT and DINOv2 are drawn inside of our
step, but for MAE before theirs, as their data loaders do; those of other
methods come with the batch. The products are counted from the sizes, the same
for both; the students of CAPI and I-JEPA embed all patches in theirs, which is
1 % more, or less.
"""

import importlib
import json
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.inference import encoder_flops
from benchmarks.pairs.contest import Worker
from benchmarks.pairs.contest import take_turns
from benchmarks.pairs.ratios import quartiles
from benchmarks.pairs.ratios import ratios_by_round
from benchmarks.pairs.ratios import summary
from benchmarks.train_step import parser
from benchmarks.train_step import step_flops

FLOPS = {"train": step_flops, "inference": encoder_flops}
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")


def product_speeds(workers):
    """Returns the FLOP/s that workers measured before their slices."""
    return [part["peak_flops"] for worker in workers for part in worker.slices]


def side(worker, flops, peak):
    """Returns what is told of one side."""
    seconds, cpu_seconds = (
        quartiles(value for part in worker.slices for value in part[key])
        for key in ("seconds", "cpu_seconds")
    )
    own = max(product_speeds([worker]))
    return {
        "first_step_s": worker.start["first_step_s"],
        "step_ms": [round(1e3 * value) for value in seconds],
        "cpu_ms": [round(1e3 * value) for value in cpu_seconds],
        "share_of_peak": round(flops / seconds[1] / peak, 3),
        "share_of_own_product": round(flops / seconds[1] / own, 3),
        "peak_memory_gib": round(worker.slices[-1]["memory_gib"], 2),
        "warm_up_memory_gib": round(worker.start["memory_gib"], 2),
    }


def report(ours, theirs, flops, speeds):
    """Returns what is told of a pair of workers.

    Args:
        ours: `Worker`.
        theirs: `Worker`.
        flops: Number. Matrix products of a step.
        speeds: List of what all workers of the run measured.
    """
    times = {
        key: ratios_by_round(
            [part[key] for part in ours.slices],
            [part[key] for part in theirs.slices],
        )
        for key in ("seconds", "cpu_seconds")
    }
    return {
        "ratio": summary(times["seconds"]),
        "cpu_ratio": summary(times["cpu_seconds"]),
        "ours": side(ours, flops, max(speeds)),
        "theirs": side(theirs, flops, max(speeds)),
        "gflop_per_step": round(flops / 1e9, 1),
        "peak_gflop_per_s": [
            round(speed / 1e9)
            for speed in (min(speeds), statistics.median(speeds), max(speeds))
        ],
    }


def authors_backend(method):
    """Returns the library that the authors' code is written in."""
    module = importlib.import_module(f"benchmarks.authors.{method}")
    return getattr(module, "BACKEND", "torch")


def pairs(options):
    """Runs theirs and ours in turns.

    Args:
        options: The parsed command line; `backend` is a list.

    Returns:
        List of a dictionary for each backend: the settings and `report`.
    """
    shared = vars(options).copy()
    backends = shared.pop("backend")
    theirs = shared | {
        "side": "authors",
        "backend": authors_backend(options.method),
        "compile": options.compile_theirs,
    }
    ours = [
        shared | {"side": "ours", "backend": backend} for backend in backends
    ]
    flops = FLOPS[options.what](options)
    workers = []
    with tempfile.TemporaryDirectory() as folder:
        caches = dict.fromkeys(CACHES, folder) if options.fresh else {}
        try:
            for settings in (theirs, *ours):
                workers.append(Worker(settings, environment=caches))
            take_turns(workers, options.rounds, options.steps)
        finally:
            for worker in workers:
                worker.close()
    speeds = product_speeds(workers)
    results = [
        settings | report(worker, workers[0], flops, speeds)
        for settings, worker in zip(ours, workers[1:], strict=True)
    ]
    for result in results:
        del result["authors"]  # a path says nothing elsewhere
    return results


def pair_parser(description):
    """Returns the parser of the options of a pair."""
    arguments = parser()
    arguments.description = description
    arguments.set_defaults(steps=5)
    arguments.add_argument(
        "--backend", nargs="+", default=["jax", "tensorflow", "torch"]
    )
    arguments.add_argument("--authors", required=True, metavar="CHECKOUT")
    arguments.add_argument("--what", choices=FLOPS, default="train")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--compile-theirs", choices=("on", "off"), default="on"
    )
    arguments.add_argument("--fresh", action="store_true")
    return arguments


if __name__ == "__main__":
    options = pair_parser(__doc__.splitlines()[0]).parse_args()
    for result in pairs(options):
        print(json.dumps(result), flush=True)
