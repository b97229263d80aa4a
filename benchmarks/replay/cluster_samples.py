"""Whether images of an epoch are drawn as by our sampler of clusters."""

import numpy as np

from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.masks import LIMIT
from benchmarks.replay.varied_masks import deviation_of_frequent
from keras_capi.methods.shared.sample_clusters import sample_clusters

# Of our sampler, against which a file's epochs are compared.
NUM_EPOCHS = 2_000


def samples_judge(labels, length):
    """Returns a function that judges a file's epochs.

    Each must have so many images of each cluster as ours may have, none twice
    that need not be. Each image must be as frequent as with us, also twice and
    in the first half, up to chance.

    Args:
        labels: Integer array: the cluster of each image.
        length: Integer. Images of an epoch.

    Returns:
        Function from an integer array of shape `(epochs, length)` to its error,
        in units of `LIMIT` standard errors.
    """
    generator = np.random.default_rng(0)
    ours = np.array(
        [sample_clusters(labels, length, generator) for _ in range(NUM_EPOCHS)]
    )

    expected = _frequencies(ours, len(labels))

    def judge(theirs):
        if theirs.dtype.kind != "i" or theirs.shape[1:] != (length,):
            return DIFFERENT
        if theirs.min() < 0 or theirs.max() >= len(labels):
            return DIFFERENT
        for epochs in (ours, theirs):
            counts = _count(epochs, len(labels))
            if not _are_valid(counts, labels, length):
                return DIFFERENT
        found = _frequencies(theirs, len(labels))
        error = deviation_of_frequent(found, len(theirs), expected, len(ours))
        return float(error / LIMIT)

    return judge


def _are_valid(counts, labels, length):
    of_clusters = np.unique(labels)
    share = length // len(of_clusters) + 1
    # So many do not fit at the end.
    missing = share * len(of_clusters) - length
    for label in of_clusters:
        members = counts[:, labels == label]
        totals = members.sum(axis=1)
        if totals.max() > share or totals.min() < share - missing:
            return False
        if members.shape[1] > share and members.max() > 1:
            return False
    return True


def _count(epochs, num_images):
    return np.array([np.bincount(x, minlength=num_images) for x in epochs])


def _frequencies(epochs, num_images):
    """How often each image comes, more than once, and in the first half."""
    counts = _count(epochs, num_images)
    # Clusters that come one after the other would have none there.
    early = _count(epochs[:, : epochs.shape[1] // 2], num_images)
    return np.concatenate(
        [
            (x > least).sum(axis=0)
            for x, least in ((counts, 0), (counts, 1), (early, 0))
        ]
    )
