"""What the weights of I-JEPA are called by its authors."""

import math
import re

from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import check_sines
from keras_capi.convert.vit_checkpoint import encoder_name
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import block_keys
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.ijepa import IJEPA

NAME = "I-JEPA"
TRAINING_STATE = (
    "opt",
    "scaler",
    "epoch",
    "loss",
    "batch_size",
    "world_size",
    "lr",
)
# The authors' names for student and teacher.
PARTS = {"student": "encoder", "teacher": "target_encoder"}
PREDICTOR = re.compile(
    r"predictor\.(mask_token|predictor_pos_embed"
    r"|predictor_(embed|norm|proj|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)"
    r"|mlp\.fc[12]))\.(weight|bias))"
)
# Position tables, which are fixed: stored, but also computed here.
TABLES = (
    "encoder.pos_embed",
    "predictor.predictor_pos_embed",
    "target_encoder.pos_embed",
)


def matches(tensors):
    """Tells whether tensors, by their plain names, are of I-JEPA.

    Bare encoders are recognised by what they lack: a class token, and a
    position for it.
    """
    names = {_split(key)[1]: key for key in tensors}
    needed = {"pos_embed", "patch_embed.proj.weight"}
    if not needed <= set(names) or "cls_token" in names:
        return False
    table = tensors[names["pos_embed"]]
    is_square = table.ndim == 3 and (
        math.isqrt(table.shape[1]) ** 2 == table.shape[1]
    )
    return is_square or any(map(PREDICTOR.fullmatch, tensors))


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which encoder to use, if there are
            both.
        path: Path of the file, for errors.

    Returns:
        The weights by their names within the encoder, and, by their full names,
        any that belong neither to an encoder nor to a predictor.
    """
    owners = {key: _split(key) for key in tensors}
    parts = {owner for owner, _ in owners.values()} & {*PARTS.values()}
    chosen = PARTS[part] if len(parts) > 1 else "".join(parts)
    own = {
        key: name for key, (owner, name) in owners.items() if owner == chosen
    }
    known = set(own.values())
    strangers = {
        key: key
        for key, (owner, name) in owners.items()
        if owner != chosen
        and name not in known
        and not PREDICTOR.fullmatch(key)
    }
    names = {**own, **strangers}
    return renamed({key: tensors[key] for key in names}, names, path)


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    return make_vit(state, path, overrides, class_token=False, positions="sine")


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    pairs = pair_entries(vit_entries(encoder), state)
    check_sines("pos_embed", state["pos_embed"], _grid_size(encoder), False)
    return pairs


def check_model(model, path):
    """Raises a `ValueError` unless a model is an I-JEPA around a ViT."""
    check_method(model, IJEPA, path)


def select_model(tensors, path):
    """Picks all weights: of both encoders and the predictor."""
    return renamed(tensors, {key: key for key in tensors}, path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays. The tables of
            positions may be missing.
        model: `keras_capi.methods.IJEPA`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    pairs = pair_entries(ijepa_entries(model), state, TABLES)
    for name in TABLES:
        if name in state:
            check_sines(name, state[name], _grid_size(model.student), False)
    return pairs


def ijepa_entries(model):
    """Returns the names of the weights of both encoders and the predictor.

    Args:
        model: `keras_capi.methods.IJEPA`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    networks = {
        "encoder": vit_entries(model.student),
        "predictor": _predictor_entries(model.predictor),
        "target_encoder": vit_entries(model.teacher),
    }
    return {
        f"{network}.{name}": entry
        for network, entries in networks.items()
        for name, entry in entries.items()
    }


def _predictor_entries(predictor):
    entries = {
        "mask_token": (predictor.mask_token, lambda x: x.reshape(1, -1)),
        "predictor_pos_embed": (predictor.positions.table, lambda x: x[0]),
        **linear_keys("predictor_embed", predictor.embedding),
        **linear_keys("predictor_norm", predictor.final_norm),
        **linear_keys("predictor_proj", predictor.prediction),
    }
    for index, block in enumerate(predictor.blocks):
        entries.update(block_keys(f"predictor_blocks.{index}.", block))
    return entries


def _grid_size(encoder):
    return encoder.grid_size(encoder.image_shape)


def _split(key):
    """Splits a key into its network, if any, and the rest."""
    owner, _, name = key.partition(".")
    if owner in PARTS.values():
        return owner, name
    return "", encoder_name(key)
