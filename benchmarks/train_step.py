"""How long is a training step, against what the machine can do?

    python benchmarks/train_step.py --backend jax --size tiny --batch-size 16

Trains on one batch of noise and prints images per second, the median step time
with its quartiles, the peak memory of the process, and the share of the
machine's peak: the step's matrix products, counted from the sizes, over the
time that they would take at the speed of a float32 product of two 2048 x 2048
matrices, measured before and after. With `--compile` a backend's compiler is
forced on or off; `auto` is Keras's choice. `--method` takes another one, whose
prototypes are `--clusters`.

    python benchmarks/train_step.py --record speed.jsonl --backend jax
    python benchmarks/train_step.py --compare speed.jsonl

`--record` appends the figures, the settings and the commit to a file.
`--compare` runs each recorded commit in turns with the present files, prints a
line each, and exits with 1 if a step has become slower by more than 5 %.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.speed import main
from benchmarks.speed import make_parser
from benchmarks.steps import aim
from benchmarks.steps import beit
from benchmarks.steps import capi
from benchmarks.steps import colorization
from benchmarks.steps import context_encoder
from benchmarks.steps import data2vec
from benchmarks.steps import data2vec2
from benchmarks.steps import deepclusterv2
from benchmarks.steps import denoising_autoencoder
from benchmarks.steps import dino
from benchmarks.steps import dinov2
from benchmarks.steps import ibot
from benchmarks.steps import ijepa
from benchmarks.steps import image_gpt
from benchmarks.steps import mae
from benchmarks.steps import relative_position
from benchmarks.steps import rotation
from benchmarks.steps import simclr
from benchmarks.steps import simmim
from benchmarks.steps import swav

METHODS = {
    "capi": capi,
    "mae": mae,
    "dino": dino,
    "simmim": simmim,
    "ijepa": ijepa,
    "ibot": ibot,
    "beit": beit,
    "data2vec": data2vec,
    "data2vec2": data2vec2,
    "dinov2": dinov2,
    "swav": swav,
    "deepclusterv2": deepclusterv2,
    "simclr": simclr,
    "aim": aim,
    "image_gpt": image_gpt,
    "rotation": rotation,
    "relative_position": relative_position,
    "colorization": colorization,
    "denoising_autoencoder": denoising_autoencoder,
    "context_encoder": context_encoder,
}


def step_flops(options):
    """Matrix products of a training step, backward passes included."""
    return METHODS[options.method].flops(options)


def build(options):
    """Returns a function that trains for a step and waits for it."""
    import keras

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.precision)
    model, optimizer, batch = METHODS[options.method].build(options)
    model.compile(
        optimizer,
        jit_compile={"auto": "auto", "on": True, "off": False}[options.compile],
    )
    return lambda: model.train_on_batch(batch)


def parser():
    parser = make_parser(__doc__.splitlines()[0], steps=20)
    parser.add_argument("--method", choices=METHODS, default="capi")
    parser.add_argument("--clusters", type=int, default=4096)
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto"
    )
    return parser


if __name__ == "__main__":
    options = parser()
    sys.exit(main("train", build, step_flops, options))
