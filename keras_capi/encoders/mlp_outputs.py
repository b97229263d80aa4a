"""What the perceptrons of a vision transformer make of images."""

from keras_capi.layers.blocks.block_stack import run_perceptrons


def mlp_outputs(encoder, images, layers):
    """Returns what perceptrons add to the tokens, before they are added.

    Args:
        encoder: `keras_capi.encoders.ViT`.
        images: Float tensor of shape `(batch, height, width, channels)`.
        layers: Tuple of integers, from 1 to `num_layers`: of which blocks.

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
