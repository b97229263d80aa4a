"""Reading the optimizer state of files written before `AdamW` existed."""

# The groups of the variables that each of seven former optimizers updated, in
# their order in a file.
FORMER_OPTIMIZERS: tuple[set[str], ...] = (
    {"patch_embedding"},
    {"patch_embedding", "biases"},
    {"rotary_frequencies"},
    {"norms"},
    {"biases"},
    {"clustering"},
    set(),
)


def read_former_state(store, names, has_accumulators):
    """Returns the state of each variable in a former file, or `None`.

    Args:
        store: The `store` that Keras gives to `load_own_variables`.
        names: List with the names of each variable's groups.
        has_accumulators: Boolean. Whether gradients were accumulated.

    Returns:
        List of tuples of arrays: momentum, velocity and, if gradients were
        accumulated, the accumulator. `None` if the file is of another kind.
    """
    file = getattr(store, "h5_file", {})
    paths = [
        f"{path}/optimizers"
        for path in ("optimizer", "optimizer/inner_optimizer")
        if f"{path}/optimizers" in file
    ]
    if not paths:
        return None
    state = [None] * len(names)
    for number, groups in enumerate(FORMER_OPTIMIZERS):
        suffix = f"_{number}" if number else ""
        values = file.get(f"{paths[0]}/adam_w{suffix}/vars", {})
        indices = [i for i, mine in enumerate(names) if set(mine) == groups]
        accumulators = len(indices) if has_accumulators else 0
        # The first is the step count.
        if indices and len(values) != 1 + accumulators + 2 * len(indices):
            return None
        for position, index in enumerate(indices):
            start = 1 + accumulators + 2 * position
            keys = [start, start + 1]
            if accumulators:
                keys.append(1 + position)
            state[index] = tuple(values[str(key)][()] for key in keys)
    return None if None in state else state
