"""Reads the files that the authors' PyTorch code writes."""

import pickle
import re
import zipfile
from collections.abc import Mapping

from keras_capi.optional_imports import import_optional

# Where a training checkpoint keeps the weights, and what stands beside them.
MODEL = "model"
TRAINING_STATE = ("iteration", "optimizer", "clustering_optimizer")

# The teacher is the moving average of the student, so either name may be used.
PART_PREFIXES = {
    "teacher": ("teacher.", "student_ema.", "ema."),
    "student": ("student.",),
}
BACKBONE = "backbone."
# The student predicts with one head, the teacher clusters with another.
HEADS = ("head.", "teacher_head.")
HEAD_KEYS = re.compile(
    r"last_layer\.(weight(_g|_v)?|weight\.original[01])|layer\.(weight|bias)"
)
# What wrappers for sharding, compilation and rematerialisation add to keys.
WRAPPERS = re.compile(
    r"\b(module|_orig_mod|_checkpoint_wrapped_module|parametrizations)\."
    r"|\.original$"
)


def read_tensors(path):
    """Reads all tensors of a `.pth` file, without running any code in it.

    Args:
        path: String or path.

    Returns:
        Dictionary from key, nested ones joined by dots, to torch tensor. Where
        the format allows it, the file is mapped and not read at once.
    """
    torch = import_optional("torch", extra="torch")
    try:
        content = torch.load(
            path,
            map_location="cpu",
            weights_only=True,
            mmap=zipfile.is_zipfile(path),
        )
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        # Without torch's own words, which advise to run the code in the file.
        raise ValueError(
            f"{path} cannot be read: it is damaged, no PyTorch checkpoint, or "
            f"holds other objects than tensors. ({type(error).__name__})"
        ) from error
    if isinstance(content, Mapping):
        content = {
            key: value
            for key, value in content.items()
            if key not in TRAINING_STATE
        }
    tensors = dict(_flatten(content))
    strangers = sorted(
        key for key, value in tensors.items() if not torch.is_tensor(value)
    )
    if strangers or not isinstance(content, Mapping):
        raise ValueError(
            f"{path} must hold a dictionary of tensors, like the published "
            f"checkpoints. Received: {type(content).__name__}"
            + (f" with other entries: {strangers}" if strangers else "")
        )
    return {
        WRAPPERS.sub("", key.removeprefix(MODEL + ".")): value
        for key, value in tensors.items()
    }


def _flatten(content, prefix=""):
    if not isinstance(content, Mapping):
        yield prefix.removesuffix("."), content
        return
    for key, value in content.items():
        yield from _flatten(value, f"{prefix}{key}.")


def select_backbone(tensors, part):
    """Picks the weights of one backbone.

    Args:
        tensors: Dictionary, what `read_tensors` returns.
        part: `"teacher"` or `"student"`: which backbone to take, if there are
            several.

    Returns:
        The weights by their keys within the backbone, and the keys of weights
        that belong neither to a backbone nor to a head.
    """
    if part not in PART_PREFIXES:
        raise ValueError(
            f"`part` must be one of {sorted(PART_PREFIXES)}. "
            f"Received: part={part!r}"
        )
    # The published files have no part in front of their keys.
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
    backbones, names, unexpected = {}, {}, []
    for prefix, state in parts.items():
        for key, value in state.items():
            head = next((h for h in HEADS if key.startswith(h)), None)
            if head is None:
                name = key.removeprefix(BACKBONE)
                names[prefix, name] = prefix + key
                backbones.setdefault(prefix, {})[name] = value
            elif not HEAD_KEYS.fullmatch(key.removeprefix(head)):
                unexpected.append(prefix + key)
    chosen = next(
        (
            prefix
            for prefix in (*PART_PREFIXES[part], "")
            if prefix in backbones
        ),
        None,
    )
    if chosen is None:
        return {}, unexpected
    for prefix, backbone in backbones.items():
        unexpected += [
            names[prefix, name]
            for name in set(backbone) - set(backbones[chosen])
        ]
    return backbones[chosen], unexpected
