"""What the weights of AIM are called by its authors."""

import re

from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.shapes import count_blocks
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.encoders.aim_encoder import AIMEncoder
from keras_capi.saving.weights_file import check_size

NAME = "AIM"
TRAINING_STATE = ()
PATCHES, TRUNK = "preprocessor.patchifier.", "trunk."
HIDDEN = f"{TRUNK}blocks.0.mlp.fc1.weight"
# The attentive probe, published in separate files or together with the encoder.
PROBE = re.compile(
    r"head\.(cls_token|(k|v|linear)\.(weight|bias)"
    r"|bn\.(running_mean|running_var|num_batches_tracked))"
)
# The head size of all published models.
HEAD_DIM = 128


def matches(tensors):
    """Tells whether tensors, by their plain names, are of AIM."""
    return any(name.startswith(PATCHES) for name in tensors)


def select_encoder(tensors, part, path):
    """Picks the weights of the encoder: the only one, whatever `part` is."""
    return {k: v for k, v in tensors.items() if not PROBE.fullmatch(k)}


def make_encoder(state, path, overrides):
    """Creates the encoder that the arrays belong to."""
    kernel = f"{PATCHES}proj.weight"
    check_ranks(state, {kernel: (4,), HIDDEN: (2,)})
    hidden_dim, num_channels, patch_size, _ = state[kernel].shape
    arguments = {
        "patch_size": patch_size,
        "num_layers": count_blocks(state, f"{TRUNK}blocks"),
        "hidden_dim": hidden_dim,
        "mlp_dim": state[HIDDEN].shape[0],
    }
    check_size(arguments, sum(value.size for value in state.values()), path)
    arguments["image_shape"] = (224, 224, num_channels)
    arguments.update(overrides)
    if "num_heads" not in arguments:
        if hidden_dim % HEAD_DIM:
            raise ValueError(
                "`num_heads` must be given, as shapes do not tell it. "
                f"Received: a width of {hidden_dim}, which heads of {HEAD_DIM} "
                "do not divide"
            )
        arguments["num_heads"] = hidden_dim // HEAD_DIM
    return AIMEncoder(**arguments)


def paired_encoder(state, encoder):
    """Pairs the weights of an encoder with arrays, see `pair_entries`."""
    return pair_entries(encoder_entries(encoder), state)


def check_model(model, path):
    """Raises a `ValueError`: no published file has a whole model."""
    raise ValueError(
        f"{path} must hold a whole model. Received: AIM's encoder, without a "
        "head for pixels; `keras_capi.convert.load_torch_checkpoint` loads it, "
        "and `keras_capi.methods.AIM` trains it on"
    )


def encoder_entries(encoder):
    """Returns the names of the weights of an encoder.

    Args:
        encoder: `keras_capi.encoders.AIMEncoder`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    entries = vit_entries(encoder)
    # Positions are computed here, not stored.
    del entries["pos_embed"]
    return {
        **{_their_name(name): entry for name, entry in entries.items()},
        **linear_keys(f"{PATCHES}norm", encoder.patch_norm),
    }


def _their_name(name):
    """Turns a name of timm into that of the authors."""
    if name.startswith("patch_embed."):
        return PATCHES + name.removeprefix("patch_embed.")
    if name.startswith("norm."):
        return f"{TRUNK}post_trunk_{name}"
    return TRUNK + re.sub(r"\bnorm(\d)", r"norm_\1", name)
