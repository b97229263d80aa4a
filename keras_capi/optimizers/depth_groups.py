from keras_capi.optimizers.group import Group


def depth_groups(num_layers, layer_decay):
    """Returns groups whose learning rates grow with depth.

    Args:
        num_layers: Integer. Blocks of an encoder.
        layer_decay: Float in `(0, 1]`. Ratio of a block's learning rate to that
            of the next block.

    Returns:
        Dictionary of `num_layers + 2` groups, see
        `keras_capi.optimizers.LayerDecayAdamW`.
    """
    return {
        f"depth_{depth}": Group(
            learning_rate_multiplier=layer_decay ** (num_layers + 1 - depth)
        )
        for depth in range(num_layers + 2)
    }
