"""How patches are sampled and prepared, on the arrays of the author's code."""

import numpy as np

from benchmarks.replay.relative_position_model import FORCE
from benchmarks.replay.weights import to_numpy
from keras_capi.ops import neighbor_pairs
from keras_capi.ops.colors.aberration import PROJECTION
from keras_capi.ops.colors.aberration import drop_colors
from keras_capi.ops.colors.aberration import project_colors
from keras_capi.ops.images.resampling import resample_windows
from keras_capi.ops.images.shrinking import shrinking_matrix

CORNERS = "sampling/corners_xy"
CELLS = "sampling/grid_x_y_startx_starty"


def replay_patches(arrays, config):
    """Returns results, and the uses of what went in.

    Args:
        arrays: Dictionary from name to array, the file.
        config: Dictionary, the configuration of the file.
    """
    inputs = {
        "image": "image that patches are cut out of",
        CELLS: "cells of the grid, and where it starts",
        "sampling/jitter_xy": "jitter, after patches were clamped",
        "preparation/keep_channel": "which channel is kept",
        "preparation/small_side": "to what patches are shrunk",
        "preparation/noise": "noise in the other channels",
    }
    cells = arrays[CELLS]
    crop = np.array(config["crop"])
    # Height and width, of what is x and y.
    pitch = crop[::-1] + config["gap"]
    corners = cells[:, 2:] + cells[:, :2] * pitch + arrays["sampling/jitter_xy"]
    count = len(corners)
    raw = resample_windows(
        arrays["image"][None].astype("float32"),
        corners[:, 1],
        corners[:, 0],
        np.full(count, crop[0]),
        np.full(count, crop[1]),
        tuple(crop.tolist()),
        windows_per_image=count,
    )
    raw = to_numpy(raw)
    pixels = _shrunk(raw, arrays["preparation/small_side"])
    kept = arrays["preparation/keep_channel"]
    dropped = drop_colors(pixels, kept, _placed(arrays, kept, pixels.shape))
    results = {
        CORNERS: corners.astype("int32"),
        "preparation/raw": np.round(raw).astype("uint8"),
        "preparation/dropped": _in_their_layout(dropped),
        "preparation/projected": _in_their_layout(project_colors(raw)),
        "preparation/projection": PROJECTION.astype("float32"),
    }
    pairs = _pairs_of_grids(cells)
    if pairs[0].shape == arrays["pairs"].shape:
        results |= {"pairs": pairs[0], "labels": pairs[1]}
    return results, inputs


def _shrunk(pixels, sides):
    """Shrinks patches and enlarges them again; 0 leaves them as they are."""
    return np.stack(
        [
            np.einsum(
                "rh,pw,hwc->rpc",
                *(shrinking_matrix(n, side) for n in patch.shape[:2]),
                patch,
            )
            if side
            else patch
            for patch, side in zip(pixels, sides, strict=True)
        ]
    ).astype("float32")


def _placed(arrays, kept, shape):
    """Puts noise into the channels that are not kept, in their order."""
    noise = np.zeros(shape, "float32")
    for patch, channel, values in zip(
        noise, kept, arrays["preparation/noise"], strict=True
    ):
        others = np.delete(np.arange(shape[-1]), channel)
        patch[..., others] = np.moveaxis(values, 0, -1)
    return noise


def _in_their_layout(patches):
    return FORCE * to_numpy(patches).transpose(0, 3, 1, 2)


def _pairs_of_grids(cells):
    """Returns pairs and labels of grids, each of which begins at (0, 0)."""
    starts = np.flatnonzero((cells[:, :2] == 0).all(axis=1))
    pairs, labels = [], []
    for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
        columns, rows = cells[start:end, :2].max(axis=0) + 1
        found = neighbor_pairs(int(rows), int(columns))
        pairs.append(found[0] + start)
        labels.append(found[1])
    return (
        np.concatenate(pairs).astype("int32"),
        np.concatenate(labels),
    )
