"""Hidden patches of a batch, so that costly heads score no others."""

from keras import ops

from keras_capi.ops.tokens import list_hidden


def find_hidden(mask, count):
    """Returns where the hidden patches of a batch are.

    Args:
        mask: Boolean tensor of shape `(batch, views, patches)`.
        count: Integer, or integer scalar tensor. The largest number of hidden
            patches.

    Returns:
        Int32 tensor of shape `(count,)`: indices into all patches of the batch,
        hidden patches first, in order.
    """
    return list_hidden(ops.reshape(mask, (1, -1)), count)[0]


def hidden_weights(mask):
    """Returns weights of hidden patches that make all views count the same.

    Args:
        mask: Boolean tensor of shape `(batch, views, patches)`.

    Returns:
        Float32 tensor of that shape. The weights of a view sum to one divided
        by the number of views, or to zero if none of its patches are hidden.
    """
    hidden = ops.cast(mask, "float32")
    counts = ops.maximum(ops.sum(hidden, axis=-1, keepdims=True), 1.0)
    num_views = ops.cast(ops.shape(mask)[0] * mask.shape[1], "float32")
    return hidden / (counts * num_views)


def take_patches(values, indices=None):
    """Flattens the values of the patches of all views, and selects some.

    Args:
        values: Tensor of shape `(batch, views, patches, ...)`.
        indices: Integer tensor, from `find_hidden`, or `None` for all.

    Returns:
        Tensor of shape `(count, ...)`.
    """
    values = ops.reshape(values, (-1, *values.shape[3:]))
    return values if indices is None else ops.take(values, indices, axis=0)
