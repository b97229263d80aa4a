"""The names of a standard vision transformer's weights in checkpoints.

MAE, DINO, iBOT, DINOv2, I-JEPA, SimMIM, BEiT and data2vec all use the names of
timm, which stores the kernel of a linear layer as `(output, input)`.
"""

import numpy as np

# Stored next to the table of relative positions, but determined by its size.
INDEX = "relative_position_index"
TABLE = "relative_position_bias_table"
# Layers of an MLP. With a gate, the first holds two layers, that of the gate
# first.
PERCEPTRONS = {"gelu": ("fc1", "fc2"), "swiglu": ("w12", "w3")}
# Two names for the same weight: in DINOv2, and in SimMIM, BEiT and data2vec.
LAYER_SCALES = (("ls1.gamma", "gamma_1"), ("ls2.gamma", "gamma_2"))


def vit_entries(vit, names=()):
    """Returns the names of a ViT's weights.

    Args:
        vit: `keras_capi.encoders.ViT`.
        names: Names that the file has, to choose between two names for the same
            weight.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    norms = {"first_norm": vit.first_norm, "norm": vit.final_norm}
    entries = _embedding_keys(vit)
    for name, norm in norms.items():
        entries.update(linear_keys(name, norm) if norm is not None else {})
    for index, block in enumerate(vit.blocks):
        prefix = f"blocks.{index}."
        entries.update(block_keys(prefix, block, names))
        entries.update(_table_keys(f"{prefix}attn.", vit, index, "per_block"))
    entries.update(_table_keys("rel_pos_bias.", vit, 0, "shared"))
    return entries


def pair_entries(entries, tensors, optional=()):
    """Pairs variables with arrays. Each must have a counterpart.

    Args:
        entries: Dictionary from names to pairs: a variable, and a function that
            converts an array to its layout.
        tensors: Dictionary from names to NumPy arrays.
        optional: Sequence of strings. Names that may be missing. Defaults to
            `()`.

    Returns:
        List of pairs of variable and array.
    """
    missing = sorted(set(entries) - set(tensors) - set(optional))
    unexpected = sorted(set(tensors) - set(entries))
    if missing or unexpected:
        raise ValueError(
            "The names of the arrays must be those of the model's weights. "
            f"Missing: {missing}. Unexpected: {unexpected}"
        )
    pairs = []
    for name, (variable, convert) in entries.items():
        if name not in tensors:
            continue
        array = convert(np.asarray(tensors[name]))
        if array.shape != tuple(variable.shape):
            raise ValueError(
                f"`{name}` must have the shape of {variable.path}, "
                f"{tuple(variable.shape)}. Received: {array.shape}, once in "
                "its layout"
            )
        pairs.append((variable, array))
    return pairs


def block_keys(prefix, block, names=()):
    """Returns the names of a transformer block's weights.

    Args:
        prefix: String, the prefix of the names, such as `"blocks.0."`.
        block: `keras_capi.layers.TransformerBlock` without rotary positions.
        names: Names that the file has, to choose between two names for the same
            weight.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    attention = block.attention
    hidden, output = PERCEPTRONS[block.activation]
    entries = {
        **linear_keys(f"{prefix}norm1", block.attention_norm),
        **linear_keys(f"{prefix}norm2", block.mlp_norm),
        **linear_keys(f"{prefix}attn.qkv", attention.query_key_value),
        **linear_keys(f"{prefix}attn.proj", attention.output_projection),
        **linear_keys(f"{prefix}mlp.{hidden}", block.mlp_hidden),
        **linear_keys(f"{prefix}mlp.{output}", block.mlp_output),
    }
    if attention.query_bias is not None:
        entries[f"{prefix}attn.q_bias"] = attention.query_bias, _same
        entries[f"{prefix}attn.v_bias"] = attention.value_bias, _same
    scales = (block.attention_scale, block.mlp_scale)
    for scale, choices in zip(scales, LAYER_SCALES, strict=True):
        if scale is not None:
            known = [c for c in choices if prefix + c in names] or choices
            entries[prefix + known[0]] = scale.gamma, _same
    return entries


def linear_keys(name, layer):
    """Returns the names of the weights of a linear layer or a norm.

    Args:
        name: String, such as `"norm"`.
        layer: `keras.layers.Dense` or `keras_capi.layers.LayerNormalization`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    if hasattr(layer, "gamma"):
        return {
            f"{name}.weight": (layer.gamma, _same),
            f"{name}.bias": (layer.beta, _same),
        }
    entries = {f"{name}.weight": (layer.kernel, np.transpose)}
    if layer.use_bias:
        entries[f"{name}.bias"] = layer.bias, _same
    return entries


def _embedding_keys(vit):
    patches, prefix = vit.patch_embedding, vit.prefix_tokens
    entries = {
        "patch_embed.proj.weight": (patches.kernel, _patch_kernel),
        "patch_embed.proj.bias": (patches.bias, _same),
    }
    if prefix.class_token is not None:
        entries["cls_token"] = prefix.class_token, _without_batch
    if prefix.registers is not None:
        entries["register_tokens"] = prefix.registers, _without_batch
    if vit.positions.table is not None:
        entries["pos_embed"] = vit.positions.table.table, _without_batch
    return entries


def _table_keys(prefix, vit, index, kind):
    if vit.positions.relative != kind:
        return {}
    return {prefix + TABLE: (vit.positions.biases[index].table, _same)}


def _same(array):
    return array


def _without_batch(array):
    return array.reshape(array.shape[-2:])


def _patch_kernel(array):
    # (width, channel, row, column) to (row, column, channel, width).
    return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
