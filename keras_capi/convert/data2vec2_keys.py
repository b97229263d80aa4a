"""What the weights of data2vec 2.0 for images are called by its authors.

They number the blocks of the image encoder and the later ones separately. Here
the names become timm's, with all blocks numbered in one sequence.
"""

import math
import re

import numpy as np

from keras_capi.convert.plain_names import choose_part
from keras_capi.convert.plain_names import renamed
from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.vit_checkpoint import PATCHES
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import check_sines
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.data2vec2 import Data2Vec2

NAME = "data2vec 2.0"
TRAINING_STATE = (
    "args",
    "cfg",
    "criterion",
    "optimizer_history",
    "task_state",
    "extra_state",
    "last_optimizer_state",
)
PARTS = ("student", "teacher")
# The prefix of the teacher's names. Those of the student have none.
TEACHER = "_ema."
IMAGES = "modality_encoders.IMAGE."
FIRST_BLOCK = re.compile(rf"{re.escape(IMAGES)}context_encoder\.blocks\.(\d+)")
POSITIONS = "pos_embed"
# Prefixes of names, and what replaces them here.
BEGINNINGS = {
    f"{IMAGES}local_encoder.": "patch_embed.",
    f"{IMAGES}extra_tokens": "cls_token",
    f"{IMAGES}fixed_positional_encoder.positions": POSITIONS,
    f"{IMAGES}context_encoder.norm.": "first_norm.",
    f"{IMAGES}context_encoder.": "",
    f"{IMAGES}decoder.": "decoder.",
}
# Heads of pretraining and of fine-tuning.
HEAD = re.compile(r"decoder\..*|(fc_norm|head)\.(weight|bias)")


def matches(tensors):
    """Tells whether tensors, by their plain names, are of data2vec 2.0."""
    return any(_split(key)[1].startswith(IMAGES) for key in tensors)


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder, by timm's names.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which encoder to use, if there are
            both.
        path: Path of the file, for errors.

    Returns:
        The weights by their names within the encoder, and, with the part in
        front, any that belong neither to an encoder nor to a head.
    """
    state = select_model(tensors, path)
    splits = {key: key.split(".", 1) for key in state}
    names = choose_part(
        {
            key: (owner, name)
            for key, (owner, name) in splits.items()
            if not HEAD.fullmatch(name)
        },
        part,
    )
    return renamed({key: state[key] for key in names}, names, path)


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    check_ranks(state, {POSITIONS: (3,), PATCHES: (4,)})
    _, num_channels, patch_size, _ = state[PATCHES].shape
    # The class token has no position.
    num_patches = state[POSITIONS].shape[1]
    side = math.isqrt(num_patches)
    if "image_shape" not in overrides and side * side != num_patches:
        raise ValueError(
            "`image_shape` must be given, as positions are not those of a "
            f"square. Received: {num_patches} of patches"
        )
    image_shape = (side * patch_size, side * patch_size, num_channels)
    return make_vit(
        state,
        path,
        {"image_shape": image_shape, **overrides},
        positions="sine",
        post_norm=True,
    )


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    return _paired(vit_entries(encoder), state, encoder)


def check_model(model, path):
    """Raises a `ValueError` unless a model is a Data2Vec2 around such a ViT."""
    check_method(model, Data2Vec2, path)
    if model.encoder.first_norm is None:
        raise ValueError(
            "`model` must have an encoder with `post_norm=True`, as the "
            f"weights in {path}. Received: post_norm=False"
        )


def select_model(tensors, path):
    """Picks all weights: of student, decoder and teacher.

    Returns:
        The tensors by timm's names, with `"student."` or `"teacher."` in front.
    """
    splits = {key: _split(key) for key in tensors}
    first = {part: set() for part in PARTS}
    for owner, name in splits.values():
        if match := FIRST_BLOCK.match(name):
            first[owner].add(match[1])
    names = {
        key: f"{owner}.{_timm_name(name, len(first[owner]))}"
        for key, (owner, name) in splits.items()
    }
    return renamed(tensors, names, path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary of arrays, named as by `select_model`.
        model: `keras_capi.methods.Data2Vec2`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return [
        pair
        for part in PARTS
        for pair in paired_network(_within(part, state), model, part)
    ]


def paired_network(state, model, part):
    """Pairs the weights of student and decoder, or of the teacher.

    Args:
        state: Dictionary from timm's names to arrays.
        model: `keras_capi.methods.Data2Vec2`.
        part: `"student"` or `"teacher"`.
    """
    if part == "teacher":
        return _paired(vit_entries(model.teacher), state, model.teacher)
    decoder = model.decoder
    entries = {
        **vit_entries(model.encoder),
        **linear_keys("decoder.proj", decoder.prediction),
    }
    for index, layer in enumerate(decoder.convolutions):
        prefix = f"decoder.blocks.{index}.0."
        # (output, input, row, column) to (row, column, input, output).
        entries[f"{prefix}weight"] = layer.kernel, _to_channels_last
        entries[f"{prefix}bias"] = layer.bias, np.asarray
    return _paired(entries, state, model.encoder)


def _paired(entries, state, encoder):
    """Pairs weights with arrays, and checks positions, which may be missing."""
    if POSITIONS in state:
        table = np.asarray(state[POSITIONS])
        grid_size = encoder.grid_size(encoder.image_shape)
        check_sines(POSITIONS, table, grid_size, False)
    # They are fixed. Ours have zeros for the class token.
    entries = {k: v for k, v in entries.items() if k != POSITIONS}
    state = {k: v for k, v in state.items() if k != POSITIONS}
    return pair_entries(entries, state)


def _within(part, state):
    """Returns the entries of a part, by the rest of their names."""
    return {
        name.removeprefix(f"{part}."): value
        for name, value in state.items()
        if name.startswith(f"{part}.")
    }


def _split(key):
    """Splits a key into its part and the rest."""
    if key.startswith(TEACHER):
        return "teacher", key.removeprefix(TEACHER)
    return "student", key


def _timm_name(name, num_first):
    """Returns timm's name of a weight.

    Args:
        name: String, the authors' name.
        num_first: Integer. Number of blocks of the image encoder.
    """
    for theirs, ours in BEGINNINGS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    match = re.fullmatch(r"blocks\.(\d{1,4})\.(.*)", name)
    if match is None:
        return name
    return f"blocks.{int(match[1]) + num_first}.{match[2]}"


def _to_channels_last(array):
    return array.transpose(2, 3, 1, 0)
