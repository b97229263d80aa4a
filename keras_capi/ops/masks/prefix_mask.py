from keras import ops

from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


def prefix_mask(prefix_length, num_patches, num_prefix_tokens=0):
    """Returns the attention mask of a causal order with a prefix.

    All tokens may attend to the first patches of an image, its prefix. To each
    of the other patches, only itself and later ones may attend. Tokens without
    a position, such as registers, belong to the prefix: all attend to them, and
    they attend to each other and to the patches of the prefix only, as they
    would otherwise pass information about later patches to earlier ones.

    Args:
        prefix_length: Integer tensor of shape `(batch,)`: number of patches in
            the prefix.
        num_patches: Integer. Number of patches of an image.
        num_prefix_tokens: Integer. Number of tokens without a position, which
            come first. Defaults to `0`.

    Returns:
        Boolean tensor of shape `(batch, tokens, tokens)`, `True` where the
        first may attend to the second.

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
    # Tokens without a position get negative ones.
    places = ops.arange(-num_prefix_tokens, num_patches, dtype="int32")
    lengths = ops.cast(prefix_length, "int32")[:, None, None]
    is_before = places[None] <= ops.maximum(places[:, None], -1)
    return ops.logical_or(is_before[None], places[None, None] < lengths)
