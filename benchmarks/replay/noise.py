"""Which entries of the authors' arrays are rounding noise."""

import numpy as np

from benchmarks.replay.comparison import Noise


def key_bias_noise(results, bound):
    """Returns the `Noise` of the keys' biases, after a training.

    A bias of all keys changes no attention, so that its gradient is zero but
    for rounding, of which AdamW makes steps of the usual length.

    Args:
        results: Dictionary from names to arrays; those of biases of queries,
            keys and values end with `qkv.bias`.
        bound: Float. How far two trainings can be apart: twice the sum of the
            rates.

    Returns:
        Dictionary from names to `Noise`.
    """
    noise = {}
    for name, values in results.items():
        if name.endswith("qkv.bias"):
            third = np.arange(values.size) // (values.size // 3)
            noise[name] = Noise(third == 1, float(bound))
    return noise
