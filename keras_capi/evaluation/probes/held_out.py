"""The held-out part of the training set, for choosing hyper-parameters."""

import numpy as np

from keras_capi.validation import check_ratio
from keras_capi.validation import check_seed


def split_held_out(count, share, seed):
    """Splits samples at random into those to train on and those held out.

    Args:
        count: Integer. Number of samples.
        share: Float in (0, 1). Share of the samples to hold out.
        seed: Integer.

    Returns:
        Integer arrays, each in random order: the indices to train on and those
        held out, at least one.
    """
    check_ratio("validation_share", share)
    check_seed("seed", seed, or_none=False)
    if count < 2:
        raise ValueError(
            "There must be at least 2 samples, one of them to hold out. "
            f"Received: {count} samples"
        )
    order = np.random.default_rng(seed).permutation(count)
    held_out, kept = np.split(order, [_num_held_out(count, share)])
    return kept, held_out


def check_leaves_a_batch(name, batch_size, count, share=0.1):
    """Raises a `ValueError` if too few samples are left for one batch.

    Args:
        name: String. The name of the argument or option, for errors.
        batch_size: Integer.
        count: Integer. Number of samples.
        share: Float in (0, 1). Share of the samples to hold out. Defaults to
            `0.1`, as in the protocols.
    """
    num_held_out = _num_held_out(count, share)
    if count - num_held_out < batch_size:
        raise ValueError(
            f"At least `{name}` samples must be left to train on. Received: "
            f"{count} samples, of which {num_held_out} are held out, with "
            f"{name}={batch_size}"
        )


def _num_held_out(count, share):
    return max(int(count * share), 1)


def best_of(scores):
    """Returns the key of the highest score. Ties go to the first.

    Args:
        scores: Dictionary from hyper-parameters to score.
    """
    return max(scores, key=scores.get)
