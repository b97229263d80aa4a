from keras import ops

from keras_capi.ops.tokens import gather_tokens


def visible_positions(positions, visible_indices=None):
    """Selects the positions of the visible patches of each image.

    Args:
        positions: Tensor of shape `(1, patches, width)`, those of all images.
        visible_indices: Integer tensor of shape `(batch, visible)`, or `None`
            for all patches. Defaults to `None`.

    Returns:
        Tensor of shape `(batch, visible, width)`, or `positions`.
    """
    if visible_indices is None:
        return positions
    batch_size = ops.shape(visible_indices)[0]
    return gather_tokens(
        ops.repeat(positions, batch_size, axis=0), visible_indices
    )
