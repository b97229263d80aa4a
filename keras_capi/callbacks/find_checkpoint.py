"""The checkpoint to resume from, the same in all processes."""

from keras import ops

from keras_capi import backend
from keras_capi.callbacks.checkpoint_folder import WEIGHTS
from keras_capi.callbacks.checkpoint_folder import read_state
from keras_capi.callbacks.model_state import check_state_fits
from keras_capi.callbacks.training_settings import as_line
from keras_capi.callbacks.training_settings import compare_settings


def is_writer():
    """Returns whether this process is the one that writes."""
    return backend.process_index() == 0


def say(text):
    """Prints text in only one of the processes."""
    if is_writer():
        print(text, flush=True)


def find_suitable(folder, model, settings):
    """Finds the newest intact checkpoint, and checks that it fits.

    Args:
        folder: `CheckpointFolder`.
        model: A built `keras.Model` with a built optimizer.
        settings: Dictionary from `training_settings`.

    Returns:
        Its path, or `None` if there are no checkpoints.

    Raises:
        ValueError: If the checkpoint has other settings, or all are damaged.
    """
    return _follow_writer(folder, lambda: _find(folder, model, settings))


def find_intact(folder):
    """Finds the newest intact checkpoint.

    Damaged ones are set aside.

    Args:
        folder: `CheckpointFolder`.

    Returns:
        Its path, or `None` if there are no checkpoints.
    """
    return _follow_writer(folder, lambda: _set_damaged_aside(folder))


def _find(folder, model, settings):
    path = _set_damaged_aside(folder)
    if path is None:
        return None
    former = read_state(path).get("settings")
    refused, _ = compare_settings(former, settings)
    if not is_writer():
        # Each process has its own data.
        refused = {k: v for k, v in refused.items() if k[:5] != "data."}
    if refused:
        raise ValueError(
            "A training must resume with the settings of its checkpoint. Use "
            "those, or another directory for a new training, which may begin "
            f"with `model.load_weights('{path / WEIGHTS}')` if the model is "
            f"the same. Received: {as_line(refused)}"
        )
    check_state_fits(model, path / WEIGHTS)
    return path


def _set_damaged_aside(folder):
    path, damaged = folder.newest_intact()
    if is_writer():
        for bad, damage in damaged:
            aside = folder.set_aside(bad)
            say(f"{bad} is damaged: {damage}. It is {aside.name} now.")
    return path


def _follow_writer(folder, find):
    """Returns in all processes what the first one finds, on torch.

    On JAX each process searches for itself.
    """
    if backend.replica()[1] == 1:
        return find()
    path = error = None
    if is_writer():
        try:
            path = find()
        except (ValueError, OSError) as failure:
            error = failure
    state = read_state(path) if path else {"epoch": -1, "batch": -1}
    message = [error is not None, state["epoch"] + 1, state["batch"] + 1]
    message = ops.convert_to_tensor([*map(int, message)], "int32")
    failed, epoch, batch = map(int, backend.all_reduce(message, "max"))
    if failed:
        raise error or RuntimeError("The first process cannot go on.")
    return folder.target(epoch - 1, batch - 1) if epoch else None
