"""What the weights of image GPT are called by its authors."""

import numpy as np

from keras_capi.convert.vit_keys import pair_entries

# Fine-tuned models also have a classifier.
CLASSIFIER = "model/clf/wclf"
START_TOKEN = "model/sos"


def paired_image_gpt(state, model):
    """Pairs the weights of an image GPT with arrays, see `pair_entries`.

    Args:
        state: Dictionary from the authors' names, such as
            `model/h0/attn/q_proj`, to arrays.
        model: `keras_capi.methods.ImageGPT`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(_entries(model), _with_fused_projections(state))


def _entries(model):
    encoder = model.encoder
    tables = encoder.color_embedding, encoder.position_embedding
    entries = {
        "model/wte": (tables[0].embeddings, _same),
        "model/wpe": (tables[1].embeddings, _same),
        "model/ln_f/g": (encoder.final_norm.scale, _same),
        "model/wtet": (model.head.kernel, np.transpose),
    }
    if encoder.causal:
        start_token = encoder.start_token.class_token
        entries[START_TOKEN] = start_token, lambda x: x[None]
    for index, block in enumerate(encoder.blocks):
        name, attention = f"model/h{index}/", block.attention
        entries |= {
            f"{name}ln_1/g": (block.attention_norm.scale, _same),
            f"{name}ln_2/g": (block.mlp_norm.scale, _same),
            _fused(f"{name}attn/"): (attention.query_key_value.kernel, _same),
            f"{name}attn/c_proj": (
                attention.output_projection.kernel,
                _as_matrix,
            ),
            f"{name}mlp/c_fc/w": (block.mlp_hidden.kernel, _same),
            f"{name}mlp/c_proj/w": (block.mlp_output.kernel, _same),
        }
    return entries


def _with_fused_projections(state):
    """Fuses queries, keys and values, as in our layers."""
    state = dict(state)
    for prefix in {name[:-6] for name in state if name.endswith("/q_proj")}:
        names = [f"{prefix}{letter}_proj" for letter in "qkv"]
        if all(name in state for name in names):
            kernels = [_as_matrix(state.pop(name)).T for name in names]
            state[_fused(prefix)] = np.concatenate(kernels, axis=1)
    return state


def _fused(prefix):
    return f"{prefix}(q|k|v)_proj"


def _same(array):
    return array


def _as_matrix(kernel):
    """Joins the heads of a kernel `(num_heads, head_dim, width)`."""
    return kernel.reshape(-1, kernel.shape[-1])
