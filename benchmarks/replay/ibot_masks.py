"""Masks of iBOT's samplers, whose names tell how they were drawn."""

import numpy as np

import keras_capi
from benchmarks.replay.varied_masks import draw_masks
from benchmarks.replay.varied_masks import varied_masks_judge


def sampled_masks(names):
    """Returns the judges of a file's masks, see `varied_masks_judge`.

    Args:
        names: Their names, such as `14x14/block_0_or_0.3_var_0.2`: the grid,
            the shape, and the ratios, each of which may vary.
    """
    judges = {}
    for name in names:
        grid, _, kind = name.partition("/")
        grid = tuple(int(size) for size in grid.split("x"))
        shape, _, ratios = kind.partition("_")
        make = {
            "block": keras_capi.layers.BlockwiseMasking,
            "rand": keras_capi.layers.ScatteredMasking,
        }[shape]
        bounds = [_bounds(ratio) for ratio in ratios.split("_or_")]
        masks = draw_masks(make(mask_ratio=bounds, seed=0), grid)
        num_patches = grid[0] * grid[1]
        sizes = set()
        for low, high in bounds:
            # Blocks may end before their number is reached.
            first = 0 if shape == "block" else int(low * num_patches + 1e-6)
            sizes |= set(range(first, int(high * num_patches + 1e-6) + 1))
        judges[name] = varied_masks_judge(masks, sizes)
    return judges


def _bounds(ratio):
    mean, _, variation = ratio.partition("_var_")
    mean, variation = float(mean), float(variation or 0)
    return np.clip([mean - variation, mean + variation], 0, None).tolist()
