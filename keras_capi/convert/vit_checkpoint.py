"""Common code for checkpoints of standard vision transformers."""

import math

import numpy as np

from keras_capi.convert import vit_keys
from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.shapes import count_blocks
from keras_capi.encoders.vit import ViT
from keras_capi.ops.positions.tables import sine_positions
from keras_capi.saving.weights_file import check_size

# Names of the encoder within a whole model.
ENCODER_PREFIXES = ("backbone.", "encoder.")
HEAD_DIM = 64
# The numbers of heads for widths whose heads are not of size 64, such as ViT-H.
NUM_HEADS = {1280: 16, 1408: 16}
# The weight that the patch size and width are read from.
PATCHES = "patch_embed.proj.weight"
# The last layer of an MLP, by its activation.
PERCEPTRONS = {
    activation: f"blocks.0.mlp.{output}.weight"
    for activation, (_, output) in vit_keys.PERCEPTRONS.items()
}


def encoder_name(name):
    """Strips a name of the prefix of the encoder."""
    for prefix in ENCODER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def is_vit(names):
    """Returns whether names are those of a ViT with class token and table.

    Args:
        names: Names, stripped by `encoder_name`.
    """
    return {"cls_token", "pos_embed", PATCHES} <= set(names)


def make_vit(state, path, overrides, **arguments):
    """Creates the ViT that the arrays belong to.

    Args:
        state: Dictionary from timm's name to array.
        path: Path of the file, for errors.
        overrides: Dictionary of arguments that take precedence over all others.
        **arguments: Arguments that are fixed for the whole family.
    """
    gated = PERCEPTRONS["swiglu"] in state
    activation = "swiglu" if gated else "gelu"
    check_ranks(state, {PATCHES: (4,), PERCEPTRONS[activation]: (2,)})
    for name in ("cls_token", "pos_embed"):
        # Some have no class token, and some no position table.
        if name in state:
            check_ranks(state, {name: (3,)})
    hidden_dim, num_channels, patch_size, _ = state[PATCHES].shape
    arguments = {
        "patch_size": patch_size,
        "num_layers": count_blocks(state, "blocks"),
        "hidden_dim": hidden_dim,
        "mlp_dim": state[PERCEPTRONS[activation]].shape[1],
        "activation": activation,
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
    """Returns the side of the square grid that the positions are for."""
    if "pos_embed" in state:
        num_patches = state["pos_embed"].shape[1] - ("cls_token" in state)
        side = math.isqrt(num_patches)
        what = f"{num_patches} of patches"
    else:
        # Offsets from -(side - 1) to side - 1, and three for the class token.
        counts = [
            len(v) - 3 for k, v in state.items() if k.endswith(vit_keys.TABLE)
        ]
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


def check_sines(name, table, grid_size, class_token):
    """Raises a `ValueError` unless a table holds the fixed positions.

    Args:
        name: String. Name of the table, for errors.
        table: Float32 array of shape `(1, positions, width)`.
        grid_size: Tuple of two integers, rows and columns of patches.
        class_token: Boolean. Whether the table starts with zeros for a class
            token.
    """
    table = table[0]
    sines = sine_positions(grid_size, table.shape[-1])
    sines = np.pad(sines, ((int(class_token), 0), (0, 0)))
    # Numbers once stored in either half precision end in zero bits.
    is_half = not (table.view("uint32") & 0x1FFF).any()
    difference = np.abs(table - sines).max()
    if difference > (4e-3 if is_half else 1e-5):
        zeros = ", and zeros for the class token" if class_token else ""
        raise ValueError(
            f"`{name}` must hold the fixed sine and cosine positions of "
            f"{grid_size[0]} x {grid_size[1]} patches{zeros}. "
            f"Received: values up to {difference:.2g} apart from them"
        )


def check_method(model, method, path):
    """Raises a `ValueError` unless a model is of a method, around a ViT.

    Args:
        model: The model to load weights into.
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
