from keras import ops


def mean_patches(encoder, images, training=None):
    """Returns the mean feature of the patches of images.

    The counterpart of global average pooling in convolutional networks. Class
    token and registers are left out.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        images: Float tensor of shape `(batch, height, width, channels)`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Tensor of shape `(batch, hidden_dim)`.
    """
    tokens, positions = encoder.embed(images)
    encoded = encoder.encode(tokens, positions, training=training)
    return ops.mean(encoded["patches"], axis=1)
