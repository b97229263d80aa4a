"""Whether two samples of masks that differ in size may be of one kind."""

import numpy as np

from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.masks import COUNTS
from benchmarks.replay.masks import LIMIT
from benchmarks.replay.masks import deviation
from benchmarks.replay.masks import unpack
from benchmarks.replay.weights import to_numpy

# Of our sampler, against which a file's are compared: so many times so many.
NUM_DRAWS, NUM_MASKS = 4, 5_000
# Frequencies of rarer events are not normally distributed.
RAREST = 20


def draw_masks(masking, grid_size):
    """Draws masks from a sampler of Boolean masks of ours.

    Args:
        masking: Layer such as `keras_capi.layers.BlockwiseMasking`.
        grid_size: Tuple of two integers.

    Returns:
        Boolean array of shape `(20_000, patches)`.
    """
    batch = np.zeros((NUM_MASKS,), "float32")
    draws = [masking(batch, grid_size=grid_size) for _ in range(NUM_DRAWS)]
    return np.concatenate([to_numpy(draw["mask"]) for draw in draws])


def varied_masks_judge(ours, sizes):
    """Returns a function that judges a file's packed masks.

    Beside what `masks_judge` compares, masks of each size must be as frequent
    as ours, and equal ones too.

    Args:
        ours: Boolean array of shape `(count, patches)`, from our sampler.
        sizes: Set of integers: how many patches masks may have.

    Returns:
        Function from packed masks to their error, in units of `LIMIT` standard
        errors.
    """
    num_patches = ours.shape[1]

    def judge(packed):
        if packed.dtype != np.uint8 or packed.ndim != 2 or not len(packed):
            return DIFFERENT
        try:
            theirs = unpack(packed, num_patches)
        except ValueError:
            return DIFFERENT
        for masks in (ours, theirs):
            if not set(masks.sum(axis=1).tolist()) <= sizes:
                return DIFFERENT
        deviations = [
            deviation_of_frequent(
                count(theirs), len(theirs), count(ours), len(ours)
            )
            for count in COUNTS
        ]
        deviations.append(_deviation_of_sizes(theirs, ours))
        deviations.append(_deviation_of_repeats(theirs, ours))
        return float(max(deviations) / LIMIT)

    return judge


def _deviation_of_sizes(theirs, ours):
    """How many standard errors the distributions of sizes are apart."""
    sizes = np.arange(ours.shape[1] + 1)
    theirs, ours = (masks.sum(axis=1) for masks in (theirs, ours))
    return deviation_of_frequent(
        (theirs[:, None] < sizes).sum(axis=0),
        len(theirs),
        (ours[:, None] < sizes).sum(axis=0),
        len(ours),
    )


def deviation_of_frequent(events, count, others, other_count):
    """The `deviation` of events that are neither rare nor nearly certain."""
    expected = (events + others) * count / (count + other_count)
    is_frequent = np.minimum(expected, count - expected) >= RAREST
    if not is_frequent.any():
        return 0.0
    return deviation(
        events[is_frequent], count, others[is_frequent], other_count
    )


def _deviation_of_repeats(theirs, ours):
    """Likewise, of the number of pairs of equal masks with any patch."""
    pairs, totals = zip(
        *(_count_repeats(m) for m in (theirs, ours)), strict=True
    )
    expected = pairs[1] / totals[1] * totals[0]
    # The pairs of one mask that is drawn often depend on each other.
    return abs(pairs[0] - expected) / np.sqrt(2 * max(expected, 1.0))


def _count_repeats(masks):
    counts = np.unique(masks[masks.any(axis=1)], axis=0, return_counts=True)[1]
    return (counts * (counts - 1) / 2).sum(), len(masks) * (len(masks) - 1) / 2
