"""Whether two samples of masks may come from one distribution."""

import math

import numpy as np

from benchmarks.replay.comparison import DIFFERENT

# Standard errors. Of the 20,000 pairs of patches of a grid of 14 x 14, none is
# further off in all but one of 20,000 samples.
LIMIT = 6.0


def unpack(packed, num_patches):
    """Returns Boolean masks of shape `(count, num_patches)`.

    Raises:
        ValueError: If there are too few bits, or bits set beyond the patches.
    """
    bits = np.unpackbits(packed, axis=1).astype(bool)
    if bits.shape[1] < num_patches or bits[:, num_patches:].any():
        raise ValueError(f"not {num_patches} packed bits a mask")
    return bits[:, :num_patches]


def masks_judge(ours, counts, num_possible=math.inf):
    """Returns a function that judges a file's packed masks.

    Numbers of masked patches must be the known ones and the same as ours, and
    no mask may come twice, but for chance where not many are possible. Each
    patch, and each pair of patches, must be masked as often as by our sampler,
    up to chance.

    Args:
        ours: Boolean array of shape `(count, patches)`, from our sampler.
        counts: Sequence of integers: how many patches may be masked.
        num_possible: Integer. How many masks there are, all equally likely.
            Defaults to infinity.

    Returns:
        Function from packed masks to their error, in units of `LIMIT` standard
        errors.
    """

    num_patches = ours.shape[1]
    ours_are_valid = _are_valid(ours, counts, num_possible)
    ours = [(count(ours), len(ours)) for count in COUNTS]

    def judge(packed):
        if packed.dtype != np.uint8 or packed.ndim != 2 or not len(packed):
            return DIFFERENT
        try:
            theirs = unpack(packed, num_patches)
        except ValueError:
            return DIFFERENT
        if not ours_are_valid or not _are_valid(theirs, counts, num_possible):
            return DIFFERENT
        deviations = [
            deviation(count(theirs), len(theirs), *events)
            for count, events in zip(COUNTS, ours, strict=True)
        ]
        return float(max(deviations) / LIMIT)

    return judge


def _are_valid(masks, counts, num_possible):
    numbers_are_known = set(masks.sum(axis=1).tolist()) <= set(counts)
    # A bound of the mean and the variance of how many come again.
    expected = len(masks) ** 2 / 2 / num_possible
    repeated = len(masks) - len(np.unique(masks, axis=0))
    return numbers_are_known and (
        repeated <= expected + LIMIT * math.sqrt(expected)
    )


def deviation(events, count, others, other_count):
    """Returns how many standard errors two samples' frequencies are apart.

    Args:
        events: Array of how often each kind of event happened.
        count: Integer. The size of the sample.
        others: Like `events`, of the other sample.
        other_count: Integer. Its size.
    """
    pooled = (events + others) / (count + other_count)
    error = np.sqrt(pooled * (1 - pooled) * (1 / count + 1 / other_count))
    difference = np.abs(events / count - others / other_count)
    # What always or never happens has no error, and no difference.
    return float((difference / np.where(error > 0, error, 1.0)).max())


def _patches(masks):
    return masks.sum(axis=0)


def _pairs(masks):
    masks = masks.astype("float32")
    return (masks.T @ masks)[np.triu_indices(masks.shape[1], 1)]


def _followers(masks):
    """Of one mask and the next, which must know nothing of each other."""
    return (masks[1:] & masks[:-1]).sum(axis=0)


# What is counted in a sample.
COUNTS = (_patches, _pairs, _followers)
