from keras_capi.validation import SEED_END
from keras_capi.validation import check_seed

# On torch the n-th draw of a generator equals the first draw of one whose seed
# is n larger, so related seeds are set far apart.
SEED_SPACING = 100_000_007


def related_seed(seed, number):
    """Returns a separate seed for each part of a model.

    Args:
        seed: Integer or `None`. The seed of the model.
        number: Integer. Number of the part. Part 0 gets the seed of the model.

    Returns:
        Integer, or `None` if `seed` is `None`.
    """
    check_seed("seed", seed)
    if seed is None:
        return None
    # Keras refuses NumPy's integers.
    return (int(seed) + number * SEED_SPACING) % SEED_END
