"""What the weights of DINOv2 are called by its authors."""

import re

import numpy as np

from keras_capi.convert import dino_keys
from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import encoder_name
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.dinov2 import DINOv2

NAME = "DINOv2"
TRAINING_STATE = (
    *dino_keys.TRAINING_STATE,
    "iteration",
    "model_fsdp",
    "scheduler",
)
# By the names of our parts.
LOSSES = {
    "dino_center": "dino_loss.center",
    "ibot_center": "ibot_patch_loss.center",
}
HEADS = ("dino_head", "ibot_head")
MASK_TOKEN = "mask_token"
# The class token's position and 37 x 37 of patches: 518 pixels of 14.
NUM_PUBLISHED = 1 + 37**2
# Blocks are stored in chunks, where they keep their numbers in the whole.
CHUNK = re.compile(r"\bblocks\.\d+\.(\d+)\.")


def matches(tensors):
    """Tells whether tensors, by their plain names, are of DINOv2.

    The published encoders have a mask token and layer scale.
    """
    names = {encoder_name(dino_keys.split_part(key)[1]) for key in tensors}
    scaled = any(name.endswith(".ls1.gamma") for name in names)
    return (scaled and MASK_TOKEN in names) or any(
        name.startswith(HEADS) for name in names
    )


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which encoder to use, if there are
            both.
        path: Path of the file, for errors.

    Returns:
        The weights by their names within the encoder, and, by their full names,
        any that do not belong to an encoder, head, token or center.
    """
    others = {
        key: value
        for key, value in tensors.items()
        if key not in LOSSES.values()
        and encoder_name(dino_keys.split_part(key)[1]) != MASK_TOKEN
        and not dino_keys.split_part(key)[1].startswith(HEADS)
    }
    return dino_keys.select_encoder(_without_chunks(others, path), part, path)


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    scaled = any(name.endswith(".ls1.gamma") for name in state)
    registers = state.get("register_tokens")
    # The authors changed both for the files with registers that they published.
    # Their training code, which has registers too, does as it did before.
    positions = state.get("pos_embed", np.empty(0))
    is_published = registers is not None and (
        positions.shape[1:2] == (NUM_PUBLISHED,)
    )
    return make_vit(
        state,
        path,
        overrides,
        num_register_tokens=0 if registers is None else registers.shape[1],
        interpolation_offset=0.0 if is_published else 0.1,
        interpolation_antialias=is_published,
        layer_scale=1e-5 if scaled else None,
    )


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    return pair_entries(vit_entries(encoder, state), state)


def check_model(model, path):
    """Raises a `ValueError` unless a model is a DINOv2 around a ViT."""
    check_method(model, DINOv2, path)


def select_model(tensors, path):
    """Picks all weights: of student, teacher and heads, and the centers."""
    tensors = _without_chunks(tensors, path)
    ours = {name: center for center, name in LOSSES.items()}
    names = {key: ours.get(key, key) for key in tensors}
    return renamed(tensors, dino_keys.with_old_names(names), path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays, such as
            `student.dino_head.mlp.0.bias`, `dino_center` and `ibot_center`.
        model: `keras_capi.methods.DINOv2`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    if model.centering_kind != "softmax":
        # These are not used by anything.
        state = {k: v for k, v in state.items() if k not in LOSSES}
    return pair_entries(dinov2_entries(model), state)


def dinov2_entries(model):
    """Returns the names of the weights of student, teacher, heads and centers.

    Args:
        model: `keras_capi.methods.DINOv2`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    entries = {
        f"{part}.{name}": entry
        for part in dino_keys.PARTS
        for name, entry in network_entries(model, part).items()
    }
    if model.centering_kind == "softmax":
        entries["dino_center"] = model.centering.center, _flat
        entries["ibot_center"] = model.patch_centering.center, _flat
    return entries


def network_entries(model, part):
    """Returns the names of the weights of an encoder with its heads.

    Args:
        model: `keras_capi.methods.DINOv2`.
        part: `"student"` or `"teacher"`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    encoder, token, head, patch_head = {
        "student": (
            model.student,
            model.mask_token,
            model.head,
            model.patch_head,
        ),
        "teacher": (
            model.teacher,
            model.teacher_mask_token,
            model.teacher_head,
            model.teacher_patch_head,
        ),
    }[part]
    entries = {
        **{f"backbone.{k}": v for k, v in vit_entries(encoder).items()},
        f"backbone.{MASK_TOKEN}": (token.token, lambda x: x.reshape(1, -1)),
        **dino_keys.head_keys("dino_head", head),
    }
    if patch_head is not None:
        entries.update(dino_keys.head_keys("ibot_head", patch_head))
    return entries


def _flat(array):
    return array.reshape(-1)


def _without_chunks(tensors, path):
    names = {key: CHUNK.sub(r"blocks.\1.", key) for key in tensors}
    return renamed(tensors, names, path)
