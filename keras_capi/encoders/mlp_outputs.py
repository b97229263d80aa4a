"""Outputs of the MLPs of a vision transformer."""

from keras_capi.layers.blocks.block_stack import run_perceptrons


def mlp_outputs(encoder, images, layers):
    """Returns what the MLPs add to the tokens.

    Args:
        encoder: `keras_capi.encoders.ViT`.
        images: Float tensor of shape `(batch, height, width, channels)`.
        layers: Tuple of integers, from 1 to `num_layers`. Numbers of the
            blocks.

    Returns:
        Dictionary from each of `layers` to a tensor of shape
        `(batch, prefix + patches, hidden_dim)`.
    """
    tokens, positions = encoder.embed(images)
    outputs = run_perceptrons(
        encoder.blocks[: max(layers)],
        encoder.add_positions(tokens, positions),
        encoder.positions.attention_biases(positions),
    )
    return {
        number: added
        for number, added in enumerate(outputs, start=1)
        if number in layers
    }
