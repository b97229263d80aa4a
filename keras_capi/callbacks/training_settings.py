"""The settings of a training, to compare when it resumes."""

import re
from collections.abc import Mapping

import keras
import numpy as np

from keras_capi.fitting.batch_size_of import batch_size_of
from keras_capi.validation import is_array
from keras_capi.version import __version__

# Parts of the names of settings that may be changed in the middle of a
# training, as they take effect from there on.
CHANGEABLE = re.compile(
    r"(.*_)?(learning_rate|weight_decay|ema_momentum|clipnorm|clipvalue)"
    r"|versions"
)
# Names do not matter, and the states of random generators are stored.
IGNORED = {"name", "seed"}
MOST_SHOWN = 6
ABSENT = "nothing"


def training_settings(model, data):
    """Describes everything that determines a training, for JSON.

    Args:
        model: A compiled `keras.Model`.
        data: Dictionary that determines the batches.

    Returns:
        Nested dictionary of numbers, strings and lists.
    """
    return {
        "model": _plain(model),
        "optimizer": _plain(model.optimizer),
        "loss": _plain(getattr(model, "loss", None)),
        "data": {
            name: _name(value) if callable(value) else _plain(value)
            for name, value in data.items()
        },
        "versions": {
            "keras_capi": __version__,
            "keras": keras.version(),
            "backend": keras.backend.backend(),
        },
    }


def describe_data(x, y=None, batch_size=None):
    """Describes the data given to `fit` as far as possible.

    Args:
        x: The `x` given to `fit`. If it has `settings`, they determine its
            batches.
        y: The same.
        batch_size: The same.
    """
    if hasattr(x, "settings"):
        return {"class": type(x).__name__, **x.settings}
    batch_size = batch_size_of(x, batch_size)
    return {"x": _shape(x), "y": _shape(y), "batch_size": batch_size}


def compare_settings(old, new):
    """Compares the settings of a checkpoint with the current ones.

    Args:
        old: Dictionary from `training_settings`.
        new: The same.

    Returns:
        Tuple of two dictionaries from the name of a changed setting to a text
        with its old and new value: the settings that may not change, and those
        that may.
    """
    if not old:
        # A former version did not store them.
        return {}, {}
    is_same_version = old.get("versions") == new["versions"]
    old, new = dict(_flatten(old)), dict(_flatten(new))
    refused, changed = {}, {}
    for name in [*new, *(name for name in old if name not in new)]:
        before, now = (x.get(name, ABSENT) for x in (old, new))
        if before == now:
            continue
        if ABSENT in (before, now) and not is_same_version:
            # Another version has other settings.
            continue
        # A rate that is not a schedule is a variable, which must be stored.
        is_other_kind = ABSENT in (before, now) and name.endswith("rate.class")
        may_change = any(map(CHANGEABLE.fullmatch, name.split(".")))
        found = refused if is_other_kind or not may_change else changed
        found[name] = f"{name}: {before} before, {now} now"
    return refused, changed


def variable_name(setting):
    """Returns the name of the optimizer's variable for a changed setting.

    Args:
        setting: String, such as `"optimizer.learning_rate"`. Settings of a
            group contain the group's name too.
    """
    *path, name = setting.split(".")
    if path[-2:-1] == ["groups"]:
        return f"{path[-1]}_{name}"
    return name


def as_line(differences):
    """Returns the differences in one line, only the first if there are many."""
    texts = list(differences.values())
    if len(texts) > MOST_SHOWN:
        rest = len(texts) - MOST_SHOWN
        texts = [*texts[:MOST_SHOWN], f"and {rest} more"]
    return "; ".join(texts)


def _plain(value, ignored=IGNORED):
    """Converts a value to JSON's types, without what does not matter."""
    if isinstance(value, Mapping):
        if {"class_name", "config"} <= set(value):
            return _plain_object(value["class_name"], value["config"], ignored)
        return {
            str(key): _plain(item, ignored)
            for key, item in value.items()
            if key not in ignored
        }
    if isinstance(value, list | tuple):
        return [_plain(item, ignored) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "get_config"):
        try:
            config = value.get_config()
        except NotImplementedError:
            config = {}
        return _plain_object(type(value).__name__, config, ignored)
    return _name(value)


def _name(value):
    return getattr(value, "__qualname__", type(value).__qualname__)


def _plain_object(class_name, config, ignored):
    if class_name.endswith("DTypePolicy"):
        # Its name tells what it is.
        ignored = ()
    if not isinstance(config, Mapping):
        config = {"config": config}
    return {"class": class_name, **_plain(config, ignored)}


def _shape(x):
    if x is None:
        return None
    if is_array(x):
        return [*map(int, x.shape)]
    if isinstance(x, Mapping):
        return {str(key): _shape(item) for key, item in x.items()}
    if isinstance(x, list | tuple):
        return [_shape(item) for item in x]
    try:
        num_batches = len(x)
    except TypeError:
        num_batches = None
    return {"class": type(x).__name__, "num_batches": num_batches}


def _flatten(value, name=""):
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, item in value.items():
        yield from _flatten(item, f"{name}.{key}" if name else key)
