import numpy as np

from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


def spread_indices(count, number, seed=0):
    """Chooses a few of many images, spread over their order.

    Files are often sorted by class, so that the first ones would all be of one
    class. The order is cut into parts of equal size, and one image is drawn
    from each.

    Args:
        count: Integer. Number of images.
        number: Integer. How many to choose. All, if there are fewer.
        seed: Integer. Seed of the draw. Defaults to `0`.

    Returns:
        Integer array, ascending.

    Raises:
        ValueError: If a count is not positive.
    """
    check_positive_integer("count", count)
    check_positive_integer("number", number)
    check_non_negative_integer("seed", seed)
    if number >= count:
        return np.arange(count)
    edges = np.linspace(0, count, number + 1).astype(int)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])
