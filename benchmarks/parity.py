"""Compares a method with its authors' code, on arrays that the latter computed.

    KERAS_BACKEND=jax python benchmarks/parity.py --method capi
    KERAS_BACKEND=jax python benchmarks/parity.py --method mae --arrays mae.npz

Builds the model that the `.json` beside the arrays describes, loads the arrays'
weights, and replays forward pass, gradients and training steps with the arrays'
inputs. Prints one line of JSON for each group of arrays (see `compare` in
`replay/comparison.py` for its units), then a line with the names of the arrays
that were not compared, and why. What else is wrong goes to the standard error.
The exit status is 1 if anything is beyond its tolerance, missing, misshapen,
not finite, or unknown.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.replay import aim
from benchmarks.replay import beit
from benchmarks.replay import beit_tokenizer
from benchmarks.replay import capi
from benchmarks.replay import colorization
from benchmarks.replay import context_encoder
from benchmarks.replay import data2vec
from benchmarks.replay import data2vec2
from benchmarks.replay import deepcluster
from benchmarks.replay import deepclusterv2
from benchmarks.replay import denoising_autoencoder
from benchmarks.replay import dino
from benchmarks.replay import dinov2
from benchmarks.replay import ibot
from benchmarks.replay import igpt
from benchmarks.replay import ijepa
from benchmarks.replay import mae
from benchmarks.replay import relative_position
from benchmarks.replay import rotation
from benchmarks.replay import simclr
from benchmarks.replay import simmim
from benchmarks.replay import swav
from benchmarks.replay.comparison import compare
from benchmarks.replay.files import read_file

METHODS = {
    "aim": aim,
    "beit": beit,
    "beit_masks": beit,
    "beit_tokenizer": beit_tokenizer,
    "capi": capi,
    "colorization": colorization,
    "context_encoder": context_encoder,
    "context_encoder_masks": context_encoder,
    "data2vec": data2vec,
    "data2vec2": data2vec2,
    "data2vec2_masks": data2vec2,
    "data2vec_masks": data2vec,
    "data2vec_mlp_targets": data2vec,
    "deepcluster": deepcluster,
    "deepclusterv2": deepclusterv2,
    "denoising_autoencoder": denoising_autoencoder,
    "dino": dino,
    "dinov2": dinov2,
    "dinov2_masks": dinov2,
    "ibot": ibot,
    "ibot_masks": ibot,
    "ibot_untied": ibot,
    "igpt": igpt,
    "ijepa": ijepa,
    "mae": mae,
    "mae_masks": mae,
    "relative_position": relative_position,
    "rotation": rotation,
    "simclr": simclr,
    "simmim": simmim,
    "simmim_masks": simmim,
    "swav": swav,
}
REFERENCE = ROOT / "tests" / "reference"


def stored_arrays(method):
    """Returns the path of the arrays that the tests compare."""
    if method == "capi":
        return REFERENCE / "capi_reference.npz"
    return REFERENCE / "methods" / f"{method}.npz"


def make_report(method, path):
    """Returns the `Report` of a file of arrays.

    Args:
        method: String, one of `METHODS`.
        path: Path of the `.npz` file; the `.json` is beside it.
    """
    arrays, description = read_file(path)
    replay = METHODS[method].replay(arrays, description)
    return compare(arrays, replay, description.get("shapes"))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--method", choices=sorted(METHODS), required=True)
    parser.add_argument(
        "--arrays",
        type=pathlib.Path,
        help="Defaults to the arrays of the tests.",
    )
    options = parser.parse_args(arguments)
    method = options.method
    path = options.arrays or stored_arrays(method)
    try:
        report = make_report(method, path)
    except (KeyError, ValueError) as error:
        print(f"{path} cannot be replayed: {error!r}", file=sys.stderr)
        return 1
    report.print()
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
