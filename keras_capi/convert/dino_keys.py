"""What the weights of DINO are called by its authors."""

import re

from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_checkpoint import encoder_name
from keras_capi.convert.vit_checkpoint import is_vit
from keras_capi.convert.vit_checkpoint import make_vit
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.dino import DINO

NAME = "DINO"
TRAINING_STATE = ("optimizer", "epoch", "args", "fp16_scaler")
PARTS = ("student", "teacher")
CENTER = "dino_loss.center"
HEAD = re.compile(
    r"head\.(last_layer\.(weight_[gv]|weight\.original[01])|mlp\.(\d+\.)?"
    r"(weight|bias|running_mean|running_var|num_batches_tracked))"
)
# torch's names for the gains and directions of the last layer since 2.0.
NEW_NAMES = {"weight.original0": "weight_g", "weight.original1": "weight_v"}
# Weights that only occur in the authors' other networks.
OTHERS = {
    "layer1.0.conv1.weight": "a ResNet",
    "blocks.0.attn.temperature": "an XCiT",
}


def matches(tensors):
    """Tells whether tensors, by their plain names, are of DINO.

    The names of a bare encoder are those of many ViTs.
    """
    names = {encoder_name(split_part(key)[1]) for key in tensors}
    return is_vit(names) or any(name in names for name in OTHERS)


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which encoder to use, if there are
            several.
        path: Path of the file, for errors.

    Returns:
        The weights by their names within the encoder, and, by their full names,
        any that do not belong to an encoder, head or center.
    """
    for name, network in OTHERS.items():
        if name in {encoder_name(split_part(key)[1]) for key in tensors}:
            raise ValueError(
                f"{path} must hold a vision transformer, of DINO's networks. "
                f"Received: {network}, with {name!r}"
            )
    names = {
        key: split
        for key, split in ((key, split_part(key)) for key in tensors)
        if key != CENTER and not HEAD.fullmatch(split[1])
    }
    parts = sorted({owner for owner, _ in names.values()} - {""})
    if parts and part not in parts:
        raise ValueError(
            f"`part` must be one of those in {path}, {parts}. "
            f"Received: part={part!r}"
        )
    chosen = part if parts else ""
    own = {
        key: encoder_name(name)
        for key, (owner, name) in names.items()
        if owner == chosen
    }
    known = set(own.values())
    strangers = {
        key: key
        for key, (owner, name) in names.items()
        if owner != chosen and (not owner or encoder_name(name) not in known)
    }
    names = {**own, **strangers}
    return renamed({key: tensors[key] for key in names}, names, path)


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    return make_vit(state, path, overrides, interpolation_offset=0.1)


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    return pair_entries(vit_entries(encoder, state), state)


def check_model(model, path):
    """Raises a `ValueError` unless a model is a DINO around a ViT."""
    check_method(model, DINO, path)


def select_model(tensors, path):
    """Picks all weights: of student, teacher and heads, and the center."""
    names = {key: "center" if key == CENTER else key for key in tensors}
    return renamed(tensors, with_old_names(names), path)


def with_old_names(names):
    """Returns names as in older versions of torch.

    Args:
        names: Dictionary from key to name.
    """
    names = dict(names)
    for key, name in names.items():
        layer, _, kind = name.rpartition(".weight.")
        old = NEW_NAMES.get(f"weight.{kind}")
        if old and layer.endswith(("last_layer", "last_layer2")):
            names[key] = f"{layer}.{old}"
    return names


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from the authors' names to arrays, such as
            `student.head.mlp.0.bias`, and `center`.
        model: `keras_capi.methods.DINO`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(dino_entries(model), state)


def dino_entries(model):
    """Returns the names of the weights of student, teacher, heads and center.

    Args:
        model: `keras_capi.methods.DINO`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    networks = {
        "student": network_entries(model.student, model.head),
        "teacher": network_entries(model.teacher, model.teacher_head),
    }
    return {
        "center": (model.centering.center, lambda x: x.reshape(-1)),
        **{
            f"{part}.{name}": entry
            for part, entries in networks.items()
            for name, entry in entries.items()
        },
    }


def network_entries(encoder, head):
    """Returns the names of the weights of an encoder with its head.

    Args:
        encoder: `keras_capi.encoders.ViT`.
        head: `keras_capi.layers.DINOHead`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    return {
        **{f"backbone.{k}": v for k, v in vit_entries(encoder).items()},
        **head_keys("head", head),
    }


def head_keys(name, head):
    """Returns the names of the weights of a head.

    Args:
        name: String, such as `"head"`.
        head: `keras_capi.layers.DINOHead`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    entries = prototype_keys(f"{name}.last_layer", head.prototypes)
    for index, layer in enumerate(head.layers):
        # Activations are counted, too, unless there is only one layer.
        place = f".{2 * index}" if head.num_layers > 1 else ""
        entries.update(linear_keys(f"{name}.mlp{place}", layer))
    return entries


def prototype_keys(name, prototypes):
    """Returns the names of the weights of prototypes.

    Args:
        name: String, such as `"head.last_layer"`.
        prototypes: `keras_capi.layers.PrototypeHead`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    return {
        f"{name}.weight_v": (prototypes.direction, lambda x: x.T),
        f"{name}.weight_g": (prototypes.gain, lambda x: x.reshape(-1)),
    }


def split_part(key):
    """Splits a key into its part, if any, and the rest."""
    part, _, name = key.partition(".")
    return (part, name) if part in PARTS else ("", key)
