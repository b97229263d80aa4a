"""Ours and the authors' code in turns, in one run on one machine.

    python benchmarks/pair.py --authors CAPI --backend jax torch --size tiny

CAPI is a checkout of github.com/facebookresearch/capi. Its training step, or
with `--what inference` its encoder, runs under `torch.compile` (with
`--compile-theirs off` eagerly) in a process beside those of our backends. Each
process is built and warmed up once; then they take turns, a few steps each, so
that one computes at a time and all see the same machine. Prints a JSON object
for each backend:

- `ratio`: our time over theirs, the median over the rounds, the least and the
  largest; `cpu_ratio` is the same of the CPU time of all threads, which other
  programs on the machine disturb less;
- for each side quartiles of the milliseconds, seconds of the first step,
  which includes what is compiled (a compiler's cache on the disk may help;
  `--fresh` begins with empty ones), the peak memory since the warm-up and
  that of the warm-up, and the share that the matrix products take of the
  speed of a product of two 2048 x 2048 matrices, measured in all slices.

Both sides get the same batch of noise: theirs as a tensor, ours as an array
that becomes one in each step. Both wait for the losses in each step, and for
the features. Masks are drawn inside of our step, and before theirs, as their
data loader does.
"""

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


def side(worker, flops, peak):
    """Returns what is told of one side."""
    seconds, cpu_seconds = (
        quartiles(value for part in worker.slices for value in part[key])
        for key in ("seconds", "cpu_seconds")
    )
    return {
        "first_step_s": worker.start["first_step_s"],
        "step_ms": [round(1e3 * value) for value in seconds],
        "cpu_ms": [round(1e3 * value) for value in cpu_seconds],
        "share_of_peak": round(flops / seconds[1] / peak, 3),
        "peak_memory_gib": round(worker.slices[-1]["memory_gib"], 2),
        "warm_up_memory_gib": round(worker.start["memory_gib"], 2),
    }


def report(ours, theirs, flops):
    """Returns what is told of a pair of workers."""
    speeds = [part["peak_flops"] for part in ours.slices + theirs.slices]
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


def main(options):
    shared = vars(options).copy()
    backends = shared.pop("backend")
    theirs = shared | {
        "side": "authors",
        "backend": "torch",
        "compile": options.compile_theirs,
    }
    flops = FLOPS[options.what](options)
    with tempfile.TemporaryDirectory() as folder:
        caches = dict.fromkeys(CACHES, folder) if options.fresh else {}
        workers = []
        try:
            for settings in [theirs] + [
                shared | {"side": "ours", "backend": backend}
                for backend in backends
            ]:
                workers.append(Worker(settings, environment=caches))
            take_turns(workers, options.rounds, options.steps)
        finally:
            for worker in workers:
                worker.close()
    for worker in workers[1:]:
        print(
            json.dumps(worker.options | report(worker, workers[0], flops)),
            flush=True,
        )


if __name__ == "__main__":
    arguments = parser()
    arguments.description = __doc__.splitlines()[0]
    arguments.set_defaults(steps=5)
    arguments.add_argument("--authors", required=True, metavar="CHECKOUT")
    arguments.add_argument("--what", choices=FLOPS, default="train")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--compile-theirs", choices=("on", "off"), default="on"
    )
    arguments.add_argument("--fresh", action="store_true")
    backend = next(a for a in arguments._actions if a.dest == "backend")
    backend.nargs, backend.default = "+", ["jax", "tensorflow", "torch"]
    main(arguments.parse_args())
