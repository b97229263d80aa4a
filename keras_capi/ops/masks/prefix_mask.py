from keras import ops

from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


def prefix_mask(prefix_length, num_patches, num_prefix_tokens=0):
    """Returns which tokens may attend to which, with a prefix and an order.

    The first patches of an image, its prefix, are seen by all; of the others,
    each is seen by itself and by those behind it. Tokens without a place, such
    as registers, belong to the prefix: all see them, and they see each other
    and the patches of the prefix, or they would carry the future to the past.

    Args:
        prefix_length: Integer tensor of shape `(batch,)`: patches in the
            prefix.
        num_patches: Integer.
        num_prefix_tokens: Integer. Tokens without a place, which come first.
            Defaults to `0`.

    Returns:
        Boolean tensor of shape `(batch, tokens, tokens)`, true where the first
        may attend to the second.

    Raises:
        ValueError: If a number is out of range.

    Example:

    >>> mask = keras_capi.ops.prefix_mask(np.array([2]), num_patches=4)
    >>> mask[0, 2]  # True, True, True, False

    Reference:

    - [AIM](https://arxiv.org/abs/2401.08541), section 3.2 (prefix attention)
    """
    check_positive_integer("num_patches", num_patches)
    check_non_negative_integer("num_prefix_tokens", num_prefix_tokens)
    # Tokens without a place have negative ones.
    places = ops.arange(-num_prefix_tokens, num_patches, dtype="int32")
    lengths = ops.cast(prefix_length, "int32")[:, None, None]
    is_before = places[None] <= ops.maximum(places[:, None], -1)
    return ops.logical_or(is_before[None], places[None, None] < lengths)
