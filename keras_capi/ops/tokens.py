from keras import ops

from keras_capi import backend


def gather_tokens(tokens, indices):
    """Picks tokens of each sample by their index.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`.
        indices: Integer tensor of shape `(batch, picked)`, each in
            `[0, tokens)`.

    Returns:
        Tensor of shape `(batch, picked, width)`.

    Example:

    >>> tokens = keras.ops.reshape(keras.ops.arange(6.0), (2, 3, 1))
    >>> keras_capi.ops.gather_tokens(tokens, keras.ops.array([[2], [0]]))
    """
    return backend.take_tokens(
        ops.convert_to_tensor(tokens), ops.convert_to_tensor(indices, "int32")
    )


def slice_tokens(tokens, start, size):
    """Takes tokens that follow each other.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`.
        start: Integer or integer scalar tensor. The first of them.
        size: Integer. How many.

    Returns:
        Tensor of shape `(batch, size, width)`.
    """
    tokens = ops.convert_to_tensor(tokens)
    batch_size, _, width = ops.shape(tokens)
    return ops.slice(tokens, (0, start, 0), (batch_size, size, width))


def gather_tokens_in_range(tokens, indices, start):
    """Picks tokens of which a part only is at hand.

    The sum over all parts is what `gather_tokens` picks from the whole.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`: those from `start` on.
        indices: Integer tensor of shape `(batch, picked)`, counted in the
            whole.
        start: Integer or integer scalar tensor.

    Returns:
        Tensor of shape `(batch, picked, width)`: 0 for tokens of other parts.
    """
    indices = ops.convert_to_tensor(indices, "int32") - start
    inside = _in_range(indices, tokens.shape[1])
    picked = gather_tokens(tokens, ops.where(inside, indices, 0))
    return ops.where(inside[..., None], picked, 0.0)


def indices_in_range(indices, num_tokens):
    """Tells whether all indices point at a token.

    Args:
        indices: Integer tensor of any shape.
        num_tokens: Integer. The number of tokens.

    Returns:
        Boolean scalar tensor.
    """
    return ops.all(_in_range(indices, num_tokens))


def _in_range(indices, num_tokens):
    return ops.logical_and(indices >= 0, ops.less(indices, num_tokens))


def extract_patches(images, patch_size):
    """Cuts images into flattened patches.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`, height and
            width divisible by `patch_size`.
        patch_size: Integer. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch, rows * columns, patch_size**2 * channels)`:
        patches row-major, values in the order row, column, channel.
    """
    batch_size, height, width, channels = ops.shape(images)
    rows, columns = height // patch_size, width // patch_size
    patches = ops.reshape(
        images, (batch_size, rows, patch_size, columns, patch_size, channels)
    )
    patches = ops.transpose(patches, (0, 1, 3, 2, 4, 5))
    return ops.reshape(
        patches, (batch_size, rows * columns, patch_size**2 * channels)
    )
