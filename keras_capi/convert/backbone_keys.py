"""Finds a backbone among what the authors' PyTorch code writes."""

import re

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


def check_part(part):
    """Raises a `ValueError` unless a part is the teacher or the student."""
    if part not in PART_PREFIXES:
        raise ValueError(
            f"`part` must be one of {sorted(PART_PREFIXES)}. "
            f"Received: part={part!r}"
        )


def training_names(tensors, path):
    """Frees keys from the names that training code and wrappers put in them.

    Args:
        tensors: Dictionary, what `read_tensors` returns.
        path: Path of the file, for the error.

    Returns:
        The same tensors by their shorter keys.
    """
    names = {
        key: WRAPPERS.sub("", key.removeprefix(MODEL + ".")) for key in tensors
    }
    _check_distinct(names, path)
    return {names[key]: value for key, value in tensors.items()}


def _check_distinct(names, path):
    """Raises a `ValueError` if two keys come to the same name."""
    seen = {}
    for key, name in names.items():
        if name in seen:
            raise ValueError(
                f"{path} holds two tensors for {name!r}: {seen[name]!r} and "
                f"{key!r}."
            )
        seen[name] = key


def select_backbone(tensors, part, path):
    """Picks the weights of one backbone.

    Args:
        tensors: Dictionary, what `training_names` returns.
        part: `"teacher"` or `"student"`: which backbone to take, if there are
            several.
        path: Path of the file, for errors.

    Returns:
        The weights by their keys within the backbone, and the keys of weights
        that belong neither to a backbone nor to a head.
    """
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
                names[prefix + key] = prefix, name
                backbones.setdefault(prefix, {})[name] = value
            elif not HEAD_KEYS.fullmatch(key.removeprefix(head)):
                unexpected.append(prefix + key)
    _check_distinct({k: "".join(name) for k, name in names.items()}, path)
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
    for prefix in backbones:
        unexpected += [
            key
            for key, (owner, name) in names.items()
            if owner == prefix and name not in backbones[chosen]
        ]
    return backbones[chosen], unexpected
