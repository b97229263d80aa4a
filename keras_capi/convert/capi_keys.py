"""What the weights of a CAPI backbone are called by its authors."""

import re

import numpy as np

from keras_capi.convert.plain_names import check_distinct
from keras_capi.convert.shapes import check_ranks
from keras_capi.convert.shapes import count_blocks
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.saving.weights_file import check_size

NAME = "CAPI"
# What a checkpoint of a training holds besides the weights.
TRAINING_STATE = ("iteration", "optimizer", "clustering_optimizer")

# The teacher is the moving average of the student, so both names occur.
PART_PREFIXES = {
    "teacher": ("teacher.", "student_ema.", "ema."),
    "student": ("student.",),
}
BACKBONE = "backbone."
# The student predicts with one head, and the teacher clusters with another.
HEADS = ("head.", "teacher_head.")
HEAD_KEYS = re.compile(
    r"last_layer\.(weight(_g|_v)?|weight\.original[01])|layer\.(weight|bias)"
)
STACKS = {"encoder": "encoder", "predictor": "decoder"}
BLOCK = re.compile(r"\b(encoder|decoder)\.blocks\.\d+\.residual")
# The weights that tell the architecture, and the ranks they may have.
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


def matches(tensors):
    """Tells whether tensors, by their plain names, are of CAPI."""
    return any(BLOCK.search(key) for key in tensors)


def select_encoder(tensors, part, path):
    """Picks the weights of one backbone.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which backbone to use, if there are
            several.
        path: Path of the file, for errors.

    Returns:
        The weights by their keys within the backbone, and, by their full keys,
        any that belong neither to a backbone nor to a head.
    """
    # The keys of the published files have no part in front.
    parts = {}
    for key, value in tensors.items():
        prefix = next(
            (
                prefix
                for prefixes in PART_PREFIXES.values()
                for prefix in prefixes
                if key.startswith(prefix)
            ),
            "",
        )
        parts.setdefault(prefix, {})[key.removeprefix(prefix)] = value
    backbones, names, unexpected = {}, {}, {}
    for prefix, state in parts.items():
        for key, value in state.items():
            head = next((h for h in HEADS if key.startswith(h)), None)
            if head is None:
                name = key.removeprefix(BACKBONE)
                names[prefix + key] = prefix, name
                backbones.setdefault(prefix, {})[name] = value
            elif not HEAD_KEYS.fullmatch(key.removeprefix(head)):
                unexpected[prefix + key] = value
    check_distinct({k: "".join(name) for k, name in names.items()}, path)
    chosen = next(
        (
            prefix
            for prefix in (*PART_PREFIXES[part], "")
            if prefix in backbones
        ),
        None,
    )
    if chosen is None:
        return unexpected
    for key, (_, name) in names.items():
        if name not in backbones[chosen]:
            unexpected[key] = tensors[key]
    return {**backbones[chosen], **unexpected}


def make_encoder(state, path, overrides):
    """Creates the backbone that the arrays belong to.

    Args:
        state: Dictionary from the key within the backbone to array.
        path: Path of the file, for errors.
        overrides: Dictionary of arguments that take precedence over those read.
    """
    check_ranks(state, RANKS)
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
        blocks = f"{stack}.blocks"
        head_dim = state[f"{blocks}.0.residual1.fn.rope.freqs"].shape[-1]
        arguments[prefix + "num_layers"] = count_blocks(state, blocks)
        arguments[prefix + "num_heads"] = width // head_dim
        arguments[prefix + "mlp_dim"] = state[
            f"{blocks}.0.residual2.fn.fc1.weight"
        ].shape[0]
    check_size(arguments, sum(value.size for value in state.values()), path)
    return CAPIBackbone(**{**arguments, **overrides})


def paired_encoder(state, backbone):
    """Pairs the weights of a backbone with arrays.

    Args:
        state: Dictionary from the key within the backbone to array.
        backbone: `keras_capi.encoders.CAPIBackbone`.

    Returns:
        Iterator over pairs: a variable, and an array of its shape.

    Raises:
        ValueError: If keys are missing or left over, or an array has another
            shape than its variable.
    """
    # The pairs are computed twice, as keeping the values would copy all
    # weights.
    shapes = {
        key: (tuple(weight.shape), value.shape)
        for key, (weight, value) in paired_weights(state, backbone)
    }
    expected = {key for keys in shapes for key in keys.split()}
    missing = sorted(expected - set(state))
    unexpected = sorted(set(state) - expected)
    if missing or unexpected:
        raise ValueError(
            "The keys must be those of the backbone. "
            f"Missing: {missing}. Unexpected: {unexpected}"
        )
    misshapen = [
        f"{key} is {received}, expected {shape}"
        for key, (shape, received) in shapes.items()
        if shape != received
    ]
    if misshapen:
        raise ValueError(
            "Tensors do not fit the architecture (shapes after joining and "
            "transposing to Keras's layout; a checkpoint of one of several "
            f"processes holds slices): {'; '.join(misshapen)}"
        )
    return (pair for _, pair in paired_weights(state, backbone))


def check_model(model, path):
    """Raises a `ValueError`: whole trainings cannot be loaded."""
    raise ValueError(
        f"{path} must hold weights of another method than CAPI, of which "
        "`keras_capi.convert.load_torch_checkpoint` loads the encoder. "
        f"Received: weights of CAPI for a {type(model).__name__}"
    )


def paired_weights(state, backbone):
    """Yields keys (joined if a weight has several), weights and values."""

    def linear(*keys):
        # torch keeps (output, input).
        kernels = [state[key].T for key in keys if key in state]
        return np.concatenate(kernels, axis=-1) if kernels else np.empty(0)

    def vector(key):
        return state[key].reshape(-1) if key in state else np.empty(0)

    encoder, predictor = backbone.encoder, backbone.predictor
    kernel = state["patch_embed.weight"]
    yield (
        "patch_embed.weight",
        (
            encoder.patch_embedding.kernel,
            # (width, channel, row, column) to (row, column, channel, width).
            kernel.transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0]),
        ),
    )
    yield (
        "patch_embed.bias",
        (encoder.patch_embedding.bias, vector("patch_embed.bias")),
    )
    registers = state["registers"]
    yield (
        "registers",
        (
            encoder.register_tokens.registers,
            registers.reshape(-1, registers.shape[-1]),
        ),
    )
    yield "mask_token", (predictor.mask_token, vector("mask_token"))
    for name, stack in STACKS.items():
        for index, block in enumerate(getattr(backbone, name).blocks):
            prefix = f"{stack}.blocks.{index}."
            attention, mlp = prefix + "residual1.fn.", prefix + "residual2.fn."
            frequencies = attention + "rope.freqs"
            yield (
                frequencies,
                (
                    block.attention.rotary_frequencies,
                    state.get(frequencies, np.empty(0)),
                ),
            )
            for part, norm in (
                ("residual1", block.attention_norm),
                ("residual2", block.mlp_norm),
            ):
                key = f"{prefix}{part}.norm.weight"
                yield key, (norm.scale, vector(key))
            if block.attention.is_self_attention:
                fused = {block.attention.query_key_value: "qkv"}
            else:
                fused = {
                    block.attention.query: "q",
                    block.attention.key_value: "kv",
                }
            for dense, letters in fused.items():
                keys = [
                    f"{attention}{letter}_proj.weight" for letter in letters
                ]
                yield " ".join(keys), (dense.kernel, linear(*keys))
            for dense, key in (
                (block.attention.output_projection, attention + "proj.weight"),
                (block.mlp_hidden, mlp + "fc1.weight"),
                (block.mlp_output, mlp + "fc2.weight"),
            ):
                yield key, (dense.kernel, linear(key))
