import keras

# Arguments that all blocks share.
FROM_BLOCKS = (
    "use_bias",
    "use_key_bias",
    "layer_scale",
    "activation",
    "post_norm",
    "kernel_initializer",
)


def vit_config(vit):
    """Returns the arguments of a vision transformer, read from its parts.

    Args:
        vit: `keras_capi.encoders.ViT`.

    Returns:
        Dictionary of the arguments that not all encoders have.
    """
    prefix, positions = vit.prefix_tokens, vit.positions
    block = vit.blocks[0].get_config()
    return {
        "num_heads": vit.num_heads,
        "mlp_dim": vit.mlp_dim,
        "class_token": prefix.has_class_token,
        "num_register_tokens": prefix.num_registers,
        "positions": positions.kind,
        "interpolation_offset": positions.interpolation_offset,
        "interpolation_antialias": positions.interpolation_antialias,
        "relative_positions": positions.relative,
        **{name: block[name] for name in FROM_BLOCKS},
        "drop_path_rate": vit.drop_path.rate,
        "drop_path_method": vit.drop_path.method,
        "attention_dropout_rate": vit.attention_dropout.rate,
        "patch_initializer": keras.initializers.serialize(
            vit.patch_embedding.kernel_initializer
        ),
        "token_initializer": prefix.get_config()["initializer"],
        "seed": vit.seed,
        "lora_rank": vit.lora_rank,
    }
