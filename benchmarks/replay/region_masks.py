"""Masks of the context encoder's sampler, whose names tell their size."""

import re

import numpy as np

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.masks import unpack
from benchmarks.replay.varied_masks import varied_masks_judge
from benchmarks.replay.weights import to_numpy

# Of our sampler, against which a file's are compared.
NUM_MASKS = 5_000
# The file's are windows of one pattern, and overlap: of files made in the same
# way from other seeds, the worst was 6 standard errors of independent ones off.
SPREAD = 1.5
# So many pixels along an axis are compared, of all that there are.
MOST_PIXELS = 18


def sampled_masks(names):
    """Returns the judges of a file's masks, see `varied_masks_judge`.

    Args:
        names: Their names, such as `48x80`: height and width.
    """
    judges = {}
    for name in names:
        size = tuple(int(x) for x in re.search(r"(\d+)x(\d+)", name).groups())
        judges[name] = _judge(size)
    return judges


def _judge(size):
    regions = keras_capi.layers.RandomRegions(seed=0)
    smallest, largest = regions.mask_sizes(size)
    steps = [-(-pixels // MOST_PIXELS) for pixels in size]

    def thin(masks):
        masks = masks.reshape(-1, *size)[:, :: steps[0], :: steps[1]]
        return masks.reshape(len(masks), -1)

    ours = thin(_draw(regions, size, smallest, largest))
    compare = varied_masks_judge(ours, set(range(ours.shape[1] + 1)))

    def judge(packed):
        if packed.dtype != np.uint8 or packed.ndim != 2 or not len(packed):
            return DIFFERENT
        try:
            theirs = unpack(packed, size[0] * size[1])
        except ValueError:
            return DIFFERENT
        counts = theirs.sum(axis=1)
        if counts.min() < smallest or counts.max() > largest:
            return DIFFERENT
        return compare(np.packbits(thin(theirs), axis=1)) / SPREAD

    return judge


def _draw(regions, size, smallest, largest):
    """Returns masks of our sampler that it would take if they came first."""
    taken = []
    while sum(map(len, taken)) < NUM_MASKS:
        masks = to_numpy(regions.draw_masks(size))
        counts = masks.sum(axis=(1, 2))
        taken.append(masks[(counts >= smallest) & (counts <= largest)])
    return np.concatenate(taken)
