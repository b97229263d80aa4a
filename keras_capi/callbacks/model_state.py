"""A model's whole state as the content of a `.weights.h5` file."""

import io
import math

import numpy as np
from keras import ops

from keras_capi.callbacks.checkpoint_folder import WEIGHTS
from keras_capi.saving.weights_file import stored_shapes


class _Memory(io.BytesIO):
    """A file in memory that Keras takes by the end of its name."""

    def __str__(self):
        return WEIGHTS


def state_in_memory(model):
    """Returns what `save_weights` writes, as bytes.

    HDF5 ends the process if it cannot write to a full disk what it has to when
    it closes a file.

    Args:
        model: A built `keras.Model`.
    """
    memory = _Memory()
    model.save_weights(memory)
    return memory.getbuffer()


def check_state_fits(model, path):
    """Raises a `ValueError` unless a file has exactly what a model has.

    Keras leaves out what a model does not ask for, such as further blocks.

    Args:
        model: A built `keras.Model`, and built optimizer.
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
        model: A built `keras.Model`, and built optimizer.
        path: Path of a `.weights.h5` file.
        rates: Names of variables of the optimizer that keep their values.
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
    """Tells whether a model's loss and weights are worth keeping.

    What ends a training whose loss is not finite may notice it later, and not
    before the next step if gradients were not finite, but their loss.

    Args:
        model: A built `keras.Model`.
        logs: Dictionary, as callbacks get it. The metrics say it if it is
            empty, or `None`.
    """
    logs = logs or model.get_metrics_result()
    return math.isfinite(logs.get("loss", 0.0)) and all(
        ops.all(ops.isfinite(x)) for x in model.trainable_variables
    )


def get_metrics(model):
    """Returns what a model's metrics have counted, as lists for JSON."""
    return [variable.numpy().tolist() for variable in model.metrics_variables]


def set_metrics(model, values):
    """Gives the metrics what they had counted, if they are the same ones."""
    variables = model.metrics_variables
    shapes = [variable.shape for variable in variables]
    if shapes == [np.shape(value) for value in values]:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.asarray(value, variable.dtype))
