"""Reads the architecture of a backbone from its tensors."""

import re

from keras_capi.saving.weights_file import check_size

STACKS = {"encoder": "encoder", "predictor": "decoder"}
# What the architecture is read from, and the ranks that it may have.
RANKS = {
    "patch_embed.weight": (4,),
    "registers": (2, 3),
    "mask_token": (1, 2, 3),
    **{
        f"{stack}.blocks.0.{key}": (2,)
        for stack in STACKS.values()
        for key in ("residual1.fn.rope.freqs", "residual2.fn.fc1.weight")
    },
}


def read_architecture(state, path):
    """Returns the arguments of the backbone that tensors belong to.

    Args:
        state: Dictionary from the key within the backbone to array.
        path: Path of the file, for errors.
    """
    _check_is_backbone(state, path)
    hidden_dim, num_channels, patch_size, _ = state["patch_embed.weight"].shape
    arguments = {
        "patch_size": patch_size,
        "num_register_tokens": state["registers"].shape[-2],
        "image_shape": (None, None, num_channels),
        "hidden_dim": hidden_dim,
        "predictor_hidden_dim": state["mask_token"].shape[-1],
    }
    widths = (hidden_dim, arguments["predictor_hidden_dim"])
    for prefix, stack, width in zip(
        ("", "predictor_"), STACKS.values(), widths, strict=True
    ):
        first = f"{stack}.blocks.0."
        head_dim = state[first + "residual1.fn.rope.freqs"].shape[-1]
        arguments[prefix + "num_layers"] = _count_blocks(state, stack, path)
        arguments[prefix + "num_heads"] = width // head_dim
        arguments[prefix + "mlp_dim"] = state[
            first + "residual2.fn.fc1.weight"
        ].shape[0]
    check_size(arguments, sum(value.size for value in state.values()), path)
    return arguments


def _check_is_backbone(state, path):
    missing = sorted(set(RANKS) - set(state))
    if missing:
        raise ValueError(
            f"{path} is not a CAPI checkpoint. Missing keys: {missing}"
        )
    for key, ranks in RANKS.items():
        shape = state[key].shape
        # There may be no registers.
        sizes = shape[-1:] if key == "registers" else shape
        if len(shape) not in ranks or 0 in sizes:
            raise ValueError(
                f"{key} in {path} must have rank {ranks[-1]} and no empty "
                f"axis. Received: shape {shape}"
            )


def _count_blocks(state, stack, path):
    # As text: a number in a file may be of any length.
    numbers = {
        match[1]
        for key in state
        if (match := re.match(rf"{stack}\.blocks\.(\d+)\.", key))
    }
    expected = {str(number) for number in range(len(numbers))}
    if numbers != expected:
        strangers = sorted(number[:20] for number in numbers - expected)
        raise ValueError(
            f"The blocks in {path} must be numbered from 0 without a gap. "
            f"Received: {stack} blocks {strangers[:5]} without "
            f"{sorted(expected - numbers)[:5]}"
        )
    return len(numbers)
