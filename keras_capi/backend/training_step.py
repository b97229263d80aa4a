"""A training step that lets the model react to the update."""

import keras

from keras_capi.backend.active import BACKEND


def train_step(model, keras_train_step, arguments):
    """Runs Keras's training step between two calls of the model.

    Keras's step is stateful on TensorFlow and torch, `(data) -> logs`, and
    stateless on JAX, `(state, data) -> (logs, state)`. There the variables take
    their values from `state` inside a `StatelessScope`, and what the model
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
        begun = model.begin_update()
        logs = keras_train_step(*arguments)
        return {**logs, **model.end_update(begun)}

    state, data = arguments
    begun, state = _run(model.begin_update, model, state)
    logs, state = keras_train_step(state, data)
    extra, state = _run(lambda: model.end_update(begun), model, state)
    return {**logs, **extra}, state


def _run(function, model, state):
    """Runs a function on a state; returns its result and the new state."""
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
