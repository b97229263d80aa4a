"""How long is a step beside the authors', in turns on one card?

    python benchmarks/gpu/turns.py --authors CAPI --size base

Both are trained on torch in one process: some steps of ours, as many of theirs,
and again. How fast a machine's processor is changes within minutes, and a card
may wait for it, so only what was measured side by side is to be compared. Both
compile (`--compile off`: none does), `gpu/run.py` says how they are fed. Prints
a line for each turn, the ratio of the medians and its range over the turns, and
the memory that each took at most.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
# Not the folder of this file, whose names are none of a library's.
sys.path[:] = [x for x in sys.path if x != str(pathlib.Path(__file__).parent)]

# ruff: noqa: E402
from benchmarks.gpu.device import device_name
from benchmarks.gpu.device import memory_in_use
from benchmarks.gpu.device import peak_memory
from benchmarks.gpu.device import versions
from benchmarks.gpu.job import PREPARE
from benchmarks.gpu.job import WARM_UP_STEPS
from benchmarks.gpu.jobs import COMPILE
from benchmarks.pairs.worker import BACKENDS
from benchmarks.pairs.worker import hide

# What `--compile` means for each side: the first of its modes, or the last.
MODES = {
    mode: {side: modes["torch"][place] for side, modes in COMPILE.items()}
    for mode, place in (("off", 0), ("on", -1))
}


def make_parser():
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--authors", metavar="CHECKOUT", required=True)
    parser.add_argument("--method", default="capi")
    parser.add_argument("--size", default="base")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="bfloat16"
    )
    parser.add_argument("--compile", choices=tuple(MODES), default="on")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=16384)
    parser.add_argument("--steps", type=int, default=20, help="of a turn")
    parser.add_argument("--turns", type=int, default=6)
    parser.set_defaults(backend="torch", chunk_size=None)
    return parser


def prepare(side, options):
    """Makes a model, trains it until nothing is left to compile.

    Returns:
        Function that trains for a number of steps.
    """
    options = argparse.Namespace(**vars(options))
    options.compile = MODES[options.compile][side]
    before = memory_in_use()
    start = time.perf_counter()
    loss, run = PREPARE[side](options)
    first = loss()
    seconds = time.perf_counter() - start
    run(WARM_UP_STEPS)
    print(
        f"{side}: first step {seconds:.1f} s, loss {first:.4f}, then "
        f"{loss():.4f}; {peak_memory('torch') - before:.2f} GiB at most",
        flush=True,
    )
    return run


def main(arguments=None):
    options = make_parser().parse_args(arguments)
    os.environ["KERAS_BACKEND"] = "torch"
    hide(BACKENDS - {"torch"})
    runs = {side: prepare(side, options) for side in PREPARE}
    print(f"{device_name('torch')}; {versions()}")
    times = {side: [] for side in runs}
    for _ in range(options.turns):
        for side, run in runs.items():
            start = time.perf_counter()
            run(options.steps)
            seconds = time.perf_counter() - start
            times[side].append(seconds / options.steps * 1e3)
        print("  ".join(f"{x} {y[-1]:.1f} ms" for x, y in times.items()))
    ours, theirs = (statistics.median(x) for x in times.values())
    ratios = [x / y for x, y in zip(*times.values(), strict=True)]
    print(
        f"ours {ours:.1f} ms, authors {theirs:.1f} ms, ratio "
        f"{ours / theirs:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
