"""The training step: its compilation, and what a model adds to it."""

import contextlib
import math
import warnings

import keras

from keras_capi.backend.active import BACKEND
from keras_capi.backend.made_numbers import numbers_made_on_device

# The number of trainable weights from which compiling a step pays off.
MANY_WEIGHTS = 200_000


@contextlib.contextmanager
def compiled_training(model, chooses):
    """Decides what compiles the training step that Keras makes.

    On TensorFlow XLA does, on the CPU, too, where Keras does not use it. With
    it a training takes less time, unless the model is tiny: the gain per step
    makes up for a longer compilation. Predictions are as fast without it, and
    take images of any size.

    torch's compiler fails on a whole step, so it gets the blocks alone, see
    `compiled_blocks`.

    Args:
        model: A compiled `keras.Model`, whose training function is made in this
            context.
        chooses: Boolean. Whether the user has left the choice open.
    """
    jit_compile = model.jit_compile
    if BACKEND == "torch":
        model.jit_compile = False
    elif BACKEND == "tensorflow" and chooses and _gains_from_xla(model):
        with warnings.catch_warnings():
            # Keras warns, and does not use XLA, if a layer does not support it
            # or operations are to be deterministic.
            warnings.simplefilter("ignore")
            model.jit_compile = True
    try:
        yield
    finally:
        model.jit_compile = jit_compile


def _gains_from_xla(model):
    return (
        not model.run_eagerly
        and count_values(model.trainable_variables) >= MANY_WEIGHTS
        and model.distribute_strategy.num_replicas_in_sync == 1
    )


def with_logs(train_function, change):
    """Returns a training function of Keras that changes its logs.

    Args:
        train_function: The `train_function` of a `keras.Model`: `(data) ->
            logs`, and `(state, data) -> (logs, state)` on JAX.
        change: Function from logs to logs, called after each step.
    """

    def changed(*arguments):
        if BACKEND == "jax":
            logs, state = train_function(*arguments)
            return change(logs), state
        return change(train_function(*arguments))

    return changed


def count_values(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def train_step(model, keras_train_step, arguments):
    """Runs Keras's training step between two calls of the model.

    Keras's step is stateful on TensorFlow and torch, `(data) -> logs`, and
    stateless on JAX, `(state, data) -> (logs, state)`. On JAX the variables
    take their values from `state` inside a `StatelessScope`, and what the model
    assigns is read back from the scope.

    Args:
        model: A model with `begin_update()`, whose result is passed on to
            `end_update(begun)`. Both may assign variables of the model; the
            latter returns a dictionary of extra logs.
        keras_train_step: The bound `train_step` of `keras.Model`.
        arguments: The arguments of that step.

    Returns:
        What `keras_train_step` returns, with the extra logs.
    """
    if BACKEND != "jax":
        with numbers_made_on_device():
            begun = model.begin_update()
            logs = keras_train_step(*arguments)
            return {**logs, **model.end_update(begun)}

    state, data = arguments
    begun, state = _run(model.begin_update, model, state)
    logs, state = keras_train_step(state, data)
    extra, state = _run(lambda: model.end_update(begun), model, state)
    return {**logs, **extra}, state


def _run(function, model, state):
    """Runs a function on a state, and returns its result and the new state."""
    *parts, metrics = state
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
    )
    mapping = [
        pair
        for part in zip(variables, parts, strict=True)
        for pair in zip(*part, strict=True)
    ]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function()
    parts = [[scope.get_current_value(v) for v in part] for part in variables]
    return result, (*parts, metrics)
