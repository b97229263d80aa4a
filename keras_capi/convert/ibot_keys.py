"""What the weights of iBOT are called by its authors."""

import re

import numpy as np

from keras_capi.convert import dino_keys
from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.methods.ibot import IBOT

NAME = "iBOT"
TRAINING_STATE = dino_keys.TRAINING_STATE
# What DINO lacks: the mask token, prototypes for patches, two centers.
OWN = re.compile(
    r"ibot_loss\.center2?|(.*\.)?masked_embed|(.*\.)?head\.last_layer2\..*"
)

make_encoder = dino_keys.make_encoder
paired_encoder = dino_keys.paired_encoder


def matches(tensors):
    """Tells whether tensors, by their plain names, are of iBOT.

    The published bare encoders have the names of DINO's, and are the same
    networks.
    """
    return any(OWN.fullmatch(key) for key in tensors)


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder, see `dino_keys.select_encoder`."""
    others = {k: v for k, v in tensors.items() if not OWN.fullmatch(k)}
    return dino_keys.select_encoder(others, part, path)


def check_model(model, path):
    """Raises a `ValueError` unless a model is an IBOT around a ViT."""
    check_method(model, IBOT, path)


def select_model(tensors, path):
    """Picks all weights: of student, teacher and heads, and the centers."""
    names = {key: key.removeprefix("ibot_loss.") for key in tensors}
    return renamed(tensors, dino_keys.with_old_names(names), path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays, such as
            `student.head.mlp.0.bias`, `center` and `center2`.
        model: `keras_capi.methods.IBOT`.

    Returns:
        List of pairs of a variable and an array of its shape.

    Raises:
        ValueError: If an array has no place in the model, or if images and
            patches share prototypes in the model but not in the file.
    """
    for part in dino_keys.PARTS:
        if _parts(model, part)[2] is None:
            _check_shared(state, f"{part}.head.last_layer")
    return pair_entries(ibot_entries(model), state)


def _check_shared(state, name):
    for kind in ("weight_g", "weight_v"):
        keys = f"{name}.{kind}", f"{name}2.{kind}"
        arrays = [state[key] for key in keys if key in state]
        if not all(np.array_equal(arrays[0], other) for other in arrays):
            raise ValueError(
                "Prototypes that the model shares must be shared by the "
                "arrays too, or it needs `num_patch_prototypes`. Received: "
                f"other values of {keys[1]!r} than of {keys[0]!r}"
            )


def ibot_entries(model):
    """Returns the names of the weights of student, teacher, heads and centers.

    Args:
        model: `keras_capi.methods.IBOT`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    networks = {part: network_entries(model, part) for part in dino_keys.PARTS}
    return {
        "center": (model.centering.center, _flat),
        "center2": (model.patch_centering.center, _flat),
        **{
            f"{part}.{name}": entry
            for part, entries in networks.items()
            for name, entry in entries.items()
        },
    }


def network_entries(model, part):
    """Returns the names of the weights of an encoder with its head.

    Prototypes shared by images and patches have two names.

    Args:
        model: `keras_capi.methods.IBOT`.
        part: `"student"` or `"teacher"`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    encoder, head, own = _parts(model, part)
    entries = dino_keys.network_entries(encoder, head)
    entries.update(
        dino_keys.prototype_keys("head.last_layer2", own or head.prototypes)
    )
    if part == "student":
        entries["backbone.masked_embed"] = model.mask_token.token, _same
    return entries


def _parts(model, part):
    """Returns encoder, head, and separate patch prototypes or `None`."""
    if part == "student":
        return model.student, model.head, model.patch_prototypes
    return model.teacher, model.teacher_head, model.teacher_patch_prototypes


def _same(array):
    return array


def _flat(array):
    return array.reshape(-1)
