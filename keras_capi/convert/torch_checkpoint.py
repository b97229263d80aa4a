import numpy as np

from keras_capi.convert.architecture import STACKS
from keras_capi.convert.architecture import read_architecture
from keras_capi.convert.backbone_keys import TRAINING_STATE
from keras_capi.convert.backbone_keys import check_part
from keras_capi.convert.backbone_keys import select_backbone
from keras_capi.convert.backbone_keys import training_names
from keras_capi.convert.read_tensors import read_tensors
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.paths import as_path


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
    check_part(part)
    path = as_path(path)
    tensors = training_names(read_tensors(path, TRAINING_STATE), path)
    state, unexpected = select_backbone(tensors, part, path)
    state = _read_values(state, path)
    arguments = {**read_architecture(state, path), **overrides}
    try:
        backbone = CAPIBackbone(**arguments)
    except ValueError as error:
        raise ValueError(
            f"{path} does not describe a backbone, with the overrides "
            f"{overrides}: {error}"
        ) from error
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


def _read_values(state, path):
    # Before they are copied: tensors may share what the file holds once.
    size, capacity = sum(v.nbytes for v in state.values()), path.stat().st_size
    if size > capacity:
        raise ValueError(
            f"The tensors of {path} must not share numbers. Received: tensors "
            f"of {size:,} bytes in a file of {capacity:,}"
        )
    misfits = sorted(k for k, v in state.items() if not v.is_floating_point())
    if misfits:
        raise ValueError(
            f"The weights in {path} must be floating point. Received: others "
            f"in {misfits[:20]}"
        )
    values = {
        key: value.detach().float().numpy() for key, value in state.items()
    }
    broken = sorted(k for k, v in values.items() if not np.isfinite(v).all())
    if broken:
        raise ValueError(
            f"The weights in {path} must be finite. Received: NaN or infinite "
            f"values in {broken[:20]}"
        )
    return values


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


def _check_keys(missing, unexpected, path):
    if missing or unexpected:
        raise ValueError(
            f"The keys of {path} are not those of a CAPI backbone. "
            f"Missing: {missing}. Unexpected: {unexpected}"
        )
