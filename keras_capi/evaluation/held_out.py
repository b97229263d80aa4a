"""The part of the training set that hyper-parameters are chosen on."""

import numpy as np


def split_held_out(count, share, seed):
    """Splits samples at random.

    Args:
        count: Integer. Number of samples.
        share: Float in (0, 1). Share of the samples to hold out.
        seed: Integer.

    Returns:
        Integer arrays: the indices to train on and those held out, at least
        one of each.
    """
    if not 0.0 < share < 1.0 or count < 2:
        raise ValueError(
            "`validation_share` must be in (0, 1), of at least 2 samples. "
            f"Received: validation_share={share}, {count} samples"
        )
    order = np.random.default_rng(seed).permutation(count)
    held_out = min(max(int(share * count), 1), count - 1)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def best_of(scores):
    """Returns the key of the highest score, of equals the first.

    Args:
        scores: Dictionary from hyper-parameters to score.
    """
    return max(scores, key=scores.get)
