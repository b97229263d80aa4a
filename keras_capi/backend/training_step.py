"""A training step that lets the model react to the update."""

import keras

from keras_capi.backend.active import BACKEND


def train_step(model, keras_train_step, arguments):
    """Runs Keras's training step, then lets the model react to the update.

    Keras's step is stateful on TensorFlow and torch, `(data) -> logs`, and
    stateless on JAX, `(state, data) -> (logs, state)`. There the variables take
    their values from `state` inside a `StatelessScope`, and what the model
    assigns is read back from the scope.

    Args:
        model: A model with `before_update()`, whose result is passed on to
            `after_update(before)`. The latter may assign non-trainable
            variables and returns a dictionary of extra logs.
        keras_train_step: The bound `train_step` of `keras.Model`.
        arguments: The arguments of that step.

    Returns:
        What `keras_train_step` returns, with the extra logs.
    """
    if BACKEND != "jax":
        before = model.before_update()
        logs = keras_train_step(*arguments)
        return {**logs, **model.after_update(before)}

    state, data = arguments
    with _scope(model, state):
        before = model.before_update()
    logs, state = keras_train_step(state, data)
    with _scope(model, state) as scope:
        logs = {**logs, **model.after_update(before)}
    trainable, _, optimizer, metrics = state
    non_trainable = [
        scope.get_current_value(v) for v in model.non_trainable_variables
    ]
    return logs, (trainable, non_trainable, optimizer, metrics)


def _scope(model, state):
    trainable, non_trainable, optimizer, _ = state
    return keras.StatelessScope(
        state_mapping=[
            *zip(model.trainable_variables, trainable, strict=True),
            *zip(model.non_trainable_variables, non_trainable, strict=True),
            *zip(model.optimizer.variables, optimizer, strict=True),
        ]
    )
