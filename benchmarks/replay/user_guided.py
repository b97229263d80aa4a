"""What the second colourisation, by hints of a user, shares with the first."""

import itertools

import numpy as np

import keras_capi
from benchmarks.replay.weights import to_numpy

USER_GUIDED = "siggraph/"
# Their lattice has all colours, and their network sees them in this unit.
RANGE, STEP = 110, 10
RANGE_OF_GRAY = 5.0


def replay_user_guided(arrays):
    """Returns what our operations make of the arrays of the second method.

    Args:
        arrays: Dictionary from name to array, without `USER_GUIDED`.

    Returns:
        Results by group, and what was not compared and why.
    """
    images = arrays["images"].astype("float32") / 255.0
    lab = to_numpy(keras_capi.ops.rgb_to_lab(images))
    colors = lab[..., 1:]
    # Images without colours are left out.
    ranges = np.ptp(colors, axis=(1, 2)).sum(axis=-1)
    lab = lab[ranges >= RANGE_OF_GRAY]
    lightness = (lab[..., :1] - 50.0) / 100.0
    ab = lab[..., 1:]
    sides = range(-RANGE, RANGE + 1, STEP)
    bins = np.array(list(itertools.product(sides, sides)), "float32")
    stride = ab.shape[1] // arrays["logits"].shape[2]
    rows, columns = np.moveaxis(
        np.round((ab[:, ::stride, ::stride] + RANGE) / STEP), -1, 0
    )
    labels = rows * len(sides) + columns
    logits = arrays["logits"].transpose(0, 2, 3, 1)
    costs = keras_capi.ops.label_cross_entropy(labels.astype("int32"), logits)
    decoded = keras_capi.ops.annealed_mean(logits, bins, 1.0)
    forward = {
        "L": lightness.transpose(0, 3, 1, 2),
        "ab": (ab / RANGE).transpose(0, 3, 1, 2),
        "bin_index": labels[:, None],
        "decoded_mean": to_numpy(decoded).transpose(0, 3, 1, 2) / RANGE,
    }
    errors = np.abs(arrays["regression"] - forward["ab"]).sum(axis=1)
    losses = {
        "cross_entropy": to_numpy(costs).mean(),
        "l1_times_10": 10.0 * errors.mean(),
    }
    inputs = {
        "images": "images of the second method",
        "logits": "colours are decoded from them",
        "regression": "compared with colours",
        "hint_ab": "hints of a user, which are not here",
        "hint_mask": "hints of a user, which are not here",
    }
    return {"forward": forward, "losses": losses}, {
        name: use for name, use in inputs.items() if name in arrays
    }
