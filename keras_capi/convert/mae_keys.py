"""What the weights of MAE are called by its authors."""

import re

from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import check_sines
from keras_capi.convert.vit_checkpoint import encoder_name
from keras_capi.convert.vit_checkpoint import is_vit
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import block_keys
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.mae import MAE

NAME = "MAE"
TRAINING_STATE = ("optimizer", "epoch", "scaler", "args")
DECODER = re.compile(
    r"mask_token|decoder_pos_embed"
    r"|decoder_(embed|norm|pred|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)"
    r"|mlp\.fc[12]))\.(weight|bias)"
)
# Heads of fine-tuning, and linear classifiers after a batch normalisation.
HEAD = re.compile(
    r"head\.(\d\.)?(weight|bias|running_mean|running_var|num_batches_tracked)"
)
FINE_TUNED = ("fc_norm.weight", "fc_norm.bias")
# Position tables, which are fixed: stored, but also computed here.
TABLES = ("pos_embed", "decoder_pos_embed")


def matches(tensors):
    """Tells whether tensors, by their plain names, are of MAE.

    Bare encoders of other methods have the same names, but only in MAE the
    class token has no position, unless it was fine-tuned.
    """
    tensors = {encoder_name(key): value for key, value in tensors.items()}
    if not is_vit(tensors):
        return False
    return (
        "decoder_embed.weight" in tensors
        or FINE_TUNED[0] in tensors
        or any(HEAD.fullmatch(name) for name in tensors)
        or not _has_class_position(tensors)
    )


def select_encoder(tensors, part, path):
    """Picks the weights of the encoder: the only one, whatever `part` is."""
    return {
        key: value
        for key, value in select_model(tensors, path).items()
        if not DECODER.fullmatch(key) and not HEAD.fullmatch(key)
    }


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    fine_tuned = FINE_TUNED[0] in state or _has_class_position(state)
    positions = "learned" if fine_tuned else "sine"
    return make_vit(state, path, overrides, positions=positions)


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    fine_tuned = FINE_TUNED[0] in state
    state = {k: v for k, v in state.items() if k not in FINE_TUNED}
    optional = ("norm.weight", "norm.bias") if fine_tuned else ()
    pairs = pair_entries(vit_entries(encoder, state), state, optional)
    if not fine_tuned and not _has_class_position(state):
        check_sines("pos_embed", state["pos_embed"], _grid_size(encoder), True)
    return pairs


def check_model(model, path):
    """Raises a `ValueError` unless a model is a MAE around a ViT."""
    check_method(model, MAE, path)


def select_model(tensors, path):
    """Picks all weights: of encoder and decoder."""
    return renamed(tensors, {key: encoder_name(key) for key in tensors}, path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays. The tables of
            positions may be missing.
        model: `keras_capi.methods.MAE`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    pairs = pair_entries(mae_entries(model, state), state, TABLES)
    grids = (_grid_size(model.encoder), model.decoder.positions.grid_size)
    for name, grid_size in zip(TABLES, grids, strict=True):
        if name in state:
            check_sines(name, state[name], grid_size, True)
    return pairs


def mae_entries(model, names=()):
    """Returns the names of the weights of encoder and decoder.

    Args:
        model: `keras_capi.methods.MAE`.
        names: Names that the file has, see `vit_entries`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    decoder = model.decoder
    entries = {
        **vit_entries(model.encoder, names),
        "mask_token": (decoder.mask_token, lambda x: x.reshape(1, -1)),
        # The authors' table has a row of zeros for the class token.
        "decoder_pos_embed": (decoder.positions.table, lambda x: x[0, 1:]),
        **linear_keys("decoder_embed", decoder.embedding),
        **linear_keys("decoder_norm", decoder.final_norm),
        **linear_keys("decoder_pred", decoder.prediction),
    }
    for index, block in enumerate(decoder.blocks):
        entries.update(block_keys(f"decoder_blocks.{index}.", block, names))
    return entries


def _grid_size(encoder):
    return encoder.grid_size(encoder.image_shape)


def _has_class_position(tensors):
    """Returns whether the class token has a position, from fine-tuning."""
    table = tensors["pos_embed"]
    return table.ndim != 3 or bool(table[:, :1].any())
