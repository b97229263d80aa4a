"""Several masks of each image, computing once what they have in common.

Results have one row for each mask: those of the first image, then those of the
second, and so on.
"""

from keras import ops

from keras_capi.ops.tokens import gather_tokens


def take_patches(tokens, indices):
    """Picks tokens of patches for each mask.

    Args:
        tokens: Tensor of shape `(batch, patches, width)`.
        indices: Integer tensor of shape `(batch, masks, picked)`.

    Returns:
        Tensor of shape `(batch * masks, picked, width)`.
    """
    _, num_masks, count = ops.shape(indices)
    indices = ops.reshape(indices, (-1, num_masks * count))
    return ops.reshape(
        gather_tokens(tokens, indices), (-1, count, tokens.shape[-1])
    )


def encode_visible(encoder, images, visible_indices, training=None):
    """Encodes the visible patches of each mask.

    All patches of an image are embedded once.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        images: Float tensor of shape `(batch, height, width, channels)`.
        visible_indices: Integer tensor of shape `(batch, masks, visible)`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Dictionary as from `Encoder.encode`, with `batch * masks` rows.
    """
    tokens, positions = encoder.embed(images)
    positions = ops.repeat(positions, ops.shape(images)[0], axis=0)
    return encoder.encode(
        take_patches(tokens, visible_indices),
        take_patches(positions, visible_indices),
        training=training,
    )
