"""What checkpoints of standard vision transformers have in common."""

import math

from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.shapes import count_blocks
from keras_capi.convert.vit_keys import TABLE
from keras_capi.encoders.vit import ViT
from keras_capi.saving.weights_file import check_size

# What some call the encoder within the whole.
ENCODER_PREFIXES = ("backbone.", "encoder.")
HEAD_DIM = 64
# The numbers of heads of widths that have others, such as of ViT-H.
NUM_HEADS = {1280: 16}
# What the architecture is read from, and the ranks that it may have.
RANKS = {
    "cls_token": (3,),
    "patch_embed.proj.weight": (4,),
    "blocks.0.mlp.fc1.weight": (2,),
}


def encoder_name(name):
    """Frees a name from what stands in front of those of the encoder."""
    for prefix in ENCODER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def is_vit(names):
    """Whether names are those of a ViT with a class token and a table.

    Args:
        names: Names, freed by `encoder_name`.
    """
    return {"cls_token", "pos_embed", "patch_embed.proj.weight"} <= set(names)


def make_vit(state, path, overrides, **arguments):
    """Makes the ViT that arrays belong to.

    Args:
        state: Dictionary from timm's name to array.
        path: Path of the file, for errors.
        overrides: Dictionary of arguments that come before all others.
        **arguments: Arguments that are the same for the whole family.
    """
    check_ranks(state, RANKS)
    if "pos_embed" in state:
        check_ranks(state, {"pos_embed": (3,)})
    hidden_dim, num_channels, patch_size, _ = state[
        "patch_embed.proj.weight"
    ].shape
    arguments = {
        "patch_size": patch_size,
        "num_layers": count_blocks(state, "blocks"),
        "hidden_dim": hidden_dim,
        "mlp_dim": state["blocks.0.mlp.fc1.weight"].shape[0],
        **arguments,
    }
    check_size(arguments, sum(value.size for value in state.values()), path)
    arguments.update(overrides)
    if "image_shape" not in arguments:
        side = patch_size * _square_side(state)
        arguments["image_shape"] = (side, side, num_channels)
    if "num_heads" not in arguments:
        if hidden_dim % HEAD_DIM:
            raise ValueError(
                "`num_heads` must be given, as shapes do not tell it. "
                f"Received: a width of {hidden_dim}, which heads of {HEAD_DIM} "
                "do not divide"
            )
        arguments["num_heads"] = NUM_HEADS.get(
            hidden_dim, hidden_dim // HEAD_DIM
        )
    return ViT(**arguments)


def _square_side(state):
    """Returns the side of the square grid of patches that positions are for."""
    if "pos_embed" in state:
        num_patches = state["pos_embed"].shape[1] - 1
        side = math.isqrt(num_patches)
        what = f"{num_patches} of patches"
    else:
        # Offsets from -(side - 1) to side - 1, and three of the class token.
        counts = [len(v) - 3 for k, v in state.items() if k.endswith(TABLE)]
        count = counts[0] if counts else 0
        side = (math.isqrt(max(count, 0)) + 1) // 2
        num_patches = side * side if (2 * side - 1) ** 2 == count else -1
        what = f"{count} of offsets"
    if side < 1 or side * side != num_patches:
        raise ValueError(
            "`image_shape` must be given, as positions are not those of a "
            f"square. Received: {what}"
        )
    return side


def check_method(model, method, path):
    """Raises a `ValueError` unless a model is of a method, around a ViT.

    Args:
        model: What weights are to be loaded into.
        method: Class of `keras_capi.methods`.
        path: Path of the file with the weights.
    """
    if not isinstance(model, method):
        raise ValueError(
            f"`model` must be a `{method.__name__}`, whose weights {path} "
            f"holds. Received: {type(model).__name__}"
        )
    encoder = model.encoder
    if not isinstance(encoder, ViT) or encoder.has_lora:
        raise ValueError(
            "`model` must have a `ViT`, without LoRA, for the weights in "
            f"{path}. Received: {type(encoder).__name__} with "
            f"lora_rank={encoder.lora_rank}"
        )
