"""Restores the values of a model when a step fails."""

import contextlib

from keras_capi.backend.active import BACKEND


def build_optimizer(model):
    """Builds a model's optimizer, if it has one that is not built.

    Args:
        model: A `keras.Model`, built.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or optimizer.built:
        return
    scope = contextlib.nullcontext()
    if BACKEND == "tensorflow":
        # Under a strategy its variables are on each device.
        scope = model.distribute_strategy.scope()
    with scope:
        optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def restored_on_error(model):
    """Restores the values of a model if compiling its step fails.

    On JAX, Keras takes the values out of the variables before the first step,
    and only puts back what a step returns. A bad batch would leave a trained
    model without weights.

    Args:
        model: A `keras.Model`, built.
    """
    # TensorFlow cannot build it again after a failed step, and on JAX its
    # variables must be among those to restore.
    build_optimizer(model)
    optimizer = getattr(model, "optimizer", None)
    if BACKEND != "jax":
        yield
        return
    variables = [*model.variables, *model.metrics_variables]
    if optimizer is not None:
        variables += optimizer.variables
    values = [(variable, variable.value) for variable in variables]
    try:
        yield
    except BaseException as error:
        for variable, value in values:
            if variable._value is None and not value.is_deleted():
                variable._value = value
        if type(error).__name__ == "IndivisibleError":
            raise ValueError(
                "Under `keras.distribution` the devices must be able to share "
                "each batch equally, the last one too: choose a batch size "
                "that they divide, and drop the remainder. The model is as "
                "after the last batch."
            ) from error
        raise
