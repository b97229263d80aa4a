import re

import numpy as np

from keras_capi.convert.checkpoint_file import read_tensors
from keras_capi.convert.checkpoint_file import select_backbone
from keras_capi.models.capi_backbone import CAPIBackbone

STACKS = {"encoder": "encoder", "predictor": "decoder"}


def load_torch_checkpoint(path, part="teacher", **overrides):
    """Builds a backbone from weights of the authors' PyTorch implementation.

    The architecture is read from the shapes of the tensors. The file is loaded
    without running any code in it.

    Args:
        path: String or path. A `.pth` file: a published one (keys with or
            without the prefix `backbone.`), or a checkpoint of the authors'
            training code. The heads in it are left out.
        part: `"teacher"` or `"student"`: which backbone to take from a
            checkpoint of a training. The teacher is the one with the better
            features. Defaults to `"teacher"`.
        **overrides: Further arguments of `keras_capi.models.CAPIBackbone`, for
            what shapes do not tell, such as `drop_path_rate=0.0`,
            `register_coordinates="zeros"` or `image_shape`.

    Returns:
        A `keras_capi.models.CAPIBackbone` on the active backend.

    Raises:
        ImportError: If torch, which reads the format, is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, or a tensor is missing,
            unexpected or misshapen.

    Example:

    >>> backbone = keras_capi.convert.load_torch_checkpoint(
    ...     "capi_vitl14_in1k.pth"
    ... )

    Reference:

    - [CAPI weights](https://github.com/facebookresearch/capi)
    """
    state, unexpected = select_backbone(read_tensors(path), part)
    _check_is_backbone(state, path)
    state = {key: value.float().numpy() for key, value in state.items()}
    backbone = CAPIBackbone(**{**_architecture(state), **overrides})
    # Twice through the pairs, as keeping their values would copy all weights.
    shapes = {
        key: (tuple(weight.shape), value.shape)
        for key, (weight, value) in paired_weights(state, backbone)
    }
    expected = {key for keys in shapes for key in keys.split()}
    _check_keys(
        sorted(expected - set(state)),
        sorted({*unexpected, *(set(state) - expected)}),
        path,
    )
    misshapen = [
        f"{key} is {received}, expected {shape}"
        for key, (shape, received) in shapes.items()
        if shape != received
    ]
    if misshapen:
        raise ValueError(
            f"Tensors in {path} do not fit the architecture (shapes after "
            "joining and transposing to Keras's layout; a checkpoint of one of "
            f"several processes holds slices): {'; '.join(misshapen)}"
        )
    for _, (weight, value) in paired_weights(state, backbone):
        weight.assign(value)
    return backbone


def _check_is_backbone(state, path):
    missing = {
        "patch_embed.weight",
        "registers",
        "mask_token",
        *(
            f"{stack}.blocks.0.{key}"
            for stack in STACKS.values()
            for key in ("residual1.fn.rope.freqs", "residual2.fn.fc1.weight")
        ),
    } - set(state)
    if missing:
        raise ValueError(
            f"{path} is no CAPI checkpoint. Missing keys: {sorted(missing)}"
        )


def _architecture(state):
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
        arguments[prefix + "num_layers"] = 1 + max(
            int(match[1])
            for key in state
            if (match := re.match(rf"{stack}\.blocks\.(\d+)\.", key))
        )
        arguments[prefix + "num_heads"] = width // head_dim
        arguments[prefix + "mlp_dim"] = state[
            first + "residual2.fn.fc1.weight"
        ].shape[0]
    return arguments


def paired_weights(state, backbone):
    """Yields keys (those of one weight joined) and weight with its value."""

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
            registers.reshape(registers.shape[-2:]),
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


def _check_keys(missing, unexpected, path):
    if missing or unexpected:
        raise ValueError(
            f"The keys of {path} are not those of a CAPI backbone. "
            f"Missing: {missing}. Unexpected: {unexpected}"
        )
