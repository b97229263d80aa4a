"""Measures everything on a machine with a GPU and writes one table.

    python benchmarks/gpu/run.py --authors CAPI --out gpu.md

CAPI is a checkout of github.com/facebookresearch/capi; without it only our code
runs. First the parity of each method with its authors' numbers, then CAPI's
training: `base` and `large`, float32 and bfloat16, on torch, eager and as it is
by default (it compiles blocks), and on JAX, beside the authors' code, eager and
compiled. Each in a process of its own: one that fails, for want of memory for
example, is a row with the reason, and the rest goes on. The table is written
anew after each.

- `of the peak` is the model's FLOP utilisation: the products of a step, counted
  from the sizes, over what products of two 8192 x 8192 matrices reach on that
  backend in that precision. Float32 is as the backend has it by default: TF32
  on JAX, not on torch.
- `memory` is what tensors took on the card at most.
- The first step includes what is compiled.
- Ours trains by `fit` and gets each batch from the host; theirs has it on the
  card, and reads the losses after each step, as their loop does. In bfloat16
  ours has the policy `mixed_bfloat16`; theirs computes in it and keeps its
  weights in float32, as their configuration says.

`--tiny` tries the command itself, on a CPU, in seconds.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
# Not the folder of this file, whose names are none of a library's.
sys.path[:] = [x for x in sys.path if x != str(pathlib.Path(__file__).parent)]

# ruff: noqa: E402
from benchmarks.gpu.jobs import COMPILE
from benchmarks.gpu.jobs import run_parity
from benchmarks.gpu.jobs import run_training
from benchmarks.gpu.jobs import training_jobs
from benchmarks.gpu.table import make_table

METHODS = (
    "aim",
    "beit",
    "beit_masks",
    "beit_tokenizer",
    "capi",
    "colorization",
    "context_encoder",
    "context_encoder_masks",
    "data2vec",
    "data2vec2",
    "data2vec2_masks",
    "data2vec_masks",
    "deepcluster",
    "deepclusterv2",
    "denoising_autoencoder",
    "dino",
    "dinov2",
    "dinov2_masks",
    "ibot",
    "ibot_masks",
    "igpt",
    "ijepa",
    "mae",
    "mae_masks",
    "relative_position",
    "rotation",
    "simclr",
    "simmim",
    "simmim_masks",
    "swav",
)
BACKENDS = tuple(COMPILE["ours"])
PRECISIONS = ("float32", "bfloat16")
TINY = {
    "size": ["tiny"],
    "image_size": 112,
    "batch_size": 2,
    "clusters": 16,
    "steps": 2,
    "product_size": 256,
}


def make_parser():
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--authors", metavar="CHECKOUT")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE")
    parser.add_argument(
        "--backend", nargs="+", choices=BACKENDS, default=BACKENDS
    )
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS
    )
    parser.add_argument("--parity", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--size", nargs="+", default=["base", "large"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=16384)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--product-size", type=int, default=8192)
    parser.add_argument(
        "--timeout", type=float, default=1800, help="Seconds for each."
    )
    return parser


def main(arguments=None):
    options = make_parser().parse_args(arguments)
    if options.tiny:
        vars(options).update(TINY)
    parities, trainings = [], []

    def write():
        table = make_table(parities, trainings, options)
        if options.out:
            options.out.write_text(table)
        return table

    for method in options.parity:
        for backend in options.backend:
            parities.append(run_parity(method, backend, options.timeout))
            write()
    for job in training_jobs(options):
        trainings.append(run_training(job, options.timeout))
        write()
    if not options.out:
        print(write(), end="")
    failed = any("failure" in result for result in parities + trainings)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
