"""What the weights of SimMIM are called by its authors."""

import re

import numpy as np

from keras_capi.convert.plain_names import renamed
from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import encoder_name
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import INDEX
from keras_capi.convert.vit_keys import TABLE
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.simmim import SimMIM

NAME = "SimMIM"
TRAINING_STATE = (
    "optimizer",
    "lr_scheduler",
    "max_accuracy",
    "epoch",
    "config",
    "amp",
)
# Heads of pretraining and of fine-tuning.
HEAD = re.compile(r"mask_token|decoder\.0\.(weight|bias)|head\.(weight|bias)")
FINE_TUNED = ("fc_norm.weight", "fc_norm.bias")
QUERY_BIAS = "blocks.0.attn.q_bias"
# A weight of the authors' other network.
SWIN = "layers.0.blocks.0.norm1.weight"


def matches(tensors):
    """Tells whether tensors, by their plain names, are of SimMIM.

    Bare encoders have the names of BEiT's, with biases of queries and values.
    """
    names = {encoder_name(key) for key in tensors}
    return QUERY_BIAS in names or SWIN in names


def select_encoder(tensors, part, path):
    """Picks the weights of the encoder: the only one, whatever `part` is."""
    names = {key: encoder_name(key) for key in tensors}
    if SWIN in names.values():
        raise ValueError(
            f"{path} must hold a vision transformer, of SimMIM's networks. "
            f"Received: a Swin transformer, with {SWIN!r}"
        )
    tensors = renamed(tensors, names, path)
    return {
        key: value
        for key, value in _without_indices(tensors).items()
        if not HEAD.fullmatch(key)
    }


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    tables = {
        "shared": f"rel_pos_bias.{TABLE}",
        "per_block": f"blocks.0.attn.{TABLE}",
    }
    arguments = {"relative_positions": None}
    for kind, name in tables.items():
        if name in state:
            check_ranks(state, {name: (2,)})
            arguments["relative_positions"] = kind
            arguments["num_heads"] = state[name].shape[1]
    return make_vit(
        state,
        path,
        overrides,
        positions="learned" if "pos_embed" in state else None,
        use_key_bias=False,
        # The initial value of the factors cannot be told from the trained ones.
        layer_scale=0.1 if "blocks.0.gamma_1" in state else None,
        **arguments,
    )


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    fine_tuned = FINE_TUNED[0] in state
    state = {k: v for k, v in state.items() if k not in FINE_TUNED}
    optional = ("norm.weight", "norm.bias") if fine_tuned else ()
    return pair_entries(vit_entries(encoder, state), state, optional)


def check_model(model, path):
    """Raises a `ValueError` unless a model is a SimMIM around a ViT."""
    check_method(model, SimMIM, path)


def select_model(tensors, path):
    """Picks all weights: of encoder, mask token and head."""
    return _without_indices(tensors)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays.
        model: `keras_capi.methods.SimMIM`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(simmim_entries(model, state), state)


def simmim_entries(model, names=()):
    """Returns the names of the weights of encoder, mask token and head.

    Args:
        model: `keras_capi.methods.SimMIM`.
        names: Names that the file has, see `vit_entries`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    encoder, head = model.encoder, model.head
    channels = encoder.image_shape[-1]

    def by_pixel(array):
        # The outputs are ordered by channel, row, column.
        shape = (channels, encoder.patch_size, encoder.patch_size, -1)
        return (
            array.reshape(shape).transpose(3, 1, 2, 0).reshape(-1, head.units)
        )

    own = {encoder_name(name) for name in names}
    return {
        **{f"encoder.{k}": v for k, v in vit_entries(encoder, own).items()},
        "encoder.mask_token": (
            model.mask_token.token,
            lambda x: x.reshape(1, -1),
        ),
        "decoder.0.weight": (head.kernel, by_pixel),
        "decoder.0.bias": (head.bias, lambda x: np.ravel(by_pixel(x))),
    }


def _without_indices(tensors):
    """Leaves out the indices of position tables, which follow from the size."""
    return {
        key: value
        for key, value in tensors.items()
        if key.rpartition(".")[2] != INDEX
    }
