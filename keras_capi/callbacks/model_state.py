"""A model's whole state as the content of a `.weights.h5` file."""

import io
import math

import numpy as np
from keras import ops

from keras_capi.callbacks.checkpoint_folder import WEIGHTS
from keras_capi.saving.weights_file import stored_shapes


class _Memory(io.BytesIO):
    """A file in memory, with a name whose end Keras recognises."""

    def __str__(self):
        return WEIGHTS


def state_in_memory(model):
    """Returns the file that `save_weights` writes, as bytes.

    HDF5 would crash the process if the disk is full when it closes a file.

    Args:
        model: A built `keras.Model`.
    """
    memory = _Memory()
    model.save_weights(memory)
    return memory.getbuffer()


def check_state_fits(model, path):
    """Raises a `ValueError` unless a file has exactly a model's variables.

    Keras would silently skip what the model does not have, such as more blocks.

    Args:
        model: A built `keras.Model` with a built optimizer.
        path: Path of a `.weights.h5` file.
    """
    expected = stored_shapes(io.BytesIO(state_in_memory(model)))
    try:
        found = stored_shapes(path)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"A checkpoint must be readable. Received: {path}, {error}"
        ) from error
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise ValueError(
                "A checkpoint must be of the same model and optimizer. Choose "
                "another directory, or the former settings. Received: "
                f"{name} of shape {found.get(name)} in {path}, "
                f"{expected.get(name)} in the model, and "
                f"{len(found)} and {len(expected)} arrays"
            )


def load_state(model, path, rates=()):
    """Loads a file into a model.

    Args:
        model: A built `keras.Model` with a built optimizer.
        path: Path of a `.weights.h5` file.
        rates: Names of optimizer variables that keep their current values.
    """
    kept = [
        (variable, variable.numpy())
        for variable in model.optimizer.variables
        if variable.name in rates
    ]
    model.load_weights(path)
    for variable, value in kept:
        variable.assign(value)


def is_finite(model, logs):
    """Returns whether a model's loss and weights are finite.

    The check that ends a training at a loss that is not finite may come later,
    and if only the gradients were not finite, not before the next step.

    Args:
        model: A built `keras.Model`.
        logs: Dictionary, as given to callbacks. If it is empty or `None`, the
            metrics are checked instead.
    """
    logs = logs or model.get_metrics_result()
    return math.isfinite(logs.get("loss", 0.0)) and all(
        ops.all(ops.isfinite(x)) for x in model.trainable_variables
    )


def get_metrics(model):
    """Returns the state of a model's metrics, as lists for JSON."""
    return [variable.numpy().tolist() for variable in model.metrics_variables]


def set_metrics(model, values):
    """Restores the state of the metrics, if they are the same ones."""
    variables = model.metrics_variables
    shapes = [variable.shape for variable in variables]
    if shapes == [np.shape(value) for value in values]:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.asarray(value, variable.dtype))
