import re

import numpy as np

from keras_capi.models.capi_backbone import CAPIBackbone

PREFIX = "backbone."
# What a checkpoint may hold beside the backbone.
OTHER_PARTS = ("head.", "teacher_head.")
STACKS = {"encoder": "encoder", "predictor": "decoder"}


def load_torch_checkpoint(path, **overrides):
    """Builds a backbone from weights of the authors' PyTorch implementation.

    The architecture is read from the shapes of the tensors. The file is loaded
    without running any code in it.

    Args:
        path: String or path. A `.pth` file with the published keys, with or
            without the prefix `backbone.`. A head beside them is left out.
        **overrides: Further arguments of `keras_capi.models.CAPIBackbone`, for
            what shapes do not tell, such as `drop_path_rate=0.0`,
            `register_coordinates="zeros"` or `image_shape`.

    Returns:
        A `keras_capi.models.CAPIBackbone` on the active backend.

    Raises:
        ImportError: If torch, which reads the format, is not installed.
        ValueError: If a tensor is missing, unexpected or misshapen.

    Example:

    >>> backbone = keras_capi.convert.load_torch_checkpoint(
    ...     "capi_vitl14_in1k.pth"
    ... )

    Reference:

    - [CAPI weights](https://github.com/facebookresearch/capi)
    """
    state = _backbone_state(_read(path), path)
    backbone = CAPIBackbone(**{**_architecture(state, path), **overrides})
    values = dict(paired_weights(state, backbone))
    _check_keys(state, values, path)
    for key, (weight, value) in values.items():
        if tuple(weight.shape) != value.shape:
            raise ValueError(
                f"The tensors of {key} in {path} do not fit the architecture. "
                f"Received: shape {value.shape}, expected {weight.shape}"
            )
    for weight, value in values.values():
        weight.assign(value)
    return backbone


def _read(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Reading a `.pth` checkpoint needs torch, on any backend: "
            '`pip install "keras-capi[torch]"`.'
        ) from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise ValueError(
            f"{path} must hold a dictionary of tensors, like the published "
            f"checkpoints. Received: {type(state).__name__}"
        )
    return {key: value.float().numpy() for key, value in state.items()}


def _backbone_state(state, path):
    state = {
        key.removeprefix(PREFIX): value
        for key, value in state.items()
        if not key.startswith(OTHER_PARTS)
    }
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
    return state


def _architecture(state, path):
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


def _check_keys(state, values, path):
    expected = {key for keys in values for key in keys.split()}
    missing = sorted(expected - set(state))
    unexpected = sorted(set(state) - expected)
    if missing or unexpected:
        raise ValueError(
            f"The keys of {path} are not those of a CAPI backbone. "
            f"Missing: {missing}. Unexpected: {unexpected}"
        )
