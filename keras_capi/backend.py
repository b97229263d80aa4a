"""The one module that knows which Keras backend is active.

Everything else in the package is written once, in `keras.ops`. What stands here
does the same on every backend, but needs another route on one of them to be
possible (the training step, export) or fast (gathering, the moving average).
"""

import contextlib

import keras
from keras import ops

BACKEND = keras.backend.backend()


def take_tokens(tokens, indices):
    """Gathers along axis 1, see `keras_capi.ops.gather_tokens`."""
    if BACKEND == "jax":
        # With sharded batches the flat form below becomes an all-reduce of its
        # whole output; this one stays on each device.
        return ops.take_along_axis(tokens, indices[..., None], axis=1)
    # On TensorFlow and torch `take_along_axis` is 10 to 50 times slower.
    batch_size, num_tokens, width = ops.shape(tokens)
    offsets = ops.arange(batch_size, dtype=indices.dtype) * num_tokens
    flat_tokens = ops.reshape(tokens, (-1, width))
    return ops.take(flat_tokens, indices + offsets[:, None], axis=0)


def dot_product_attention(query, key, value):
    """Attends like `keras.ops.dot_product_attention`."""
    if BACKEND == "jax" and query.dtype == "float16":
        import jax

        if jax.default_backend() == "cpu":
            # XLA has no half precision product with a float32 sum on the CPU.
            attended = ops.dot_product_attention(
                *(ops.cast(x, "float32") for x in (query, key, value))
            )
            return ops.cast(attended, query.dtype)
    return ops.dot_product_attention(query, key, value)


def gelu(x):
    """Computes the exact `keras.ops.gelu`."""
    if BACKEND == "tensorflow":
        # The same without `erfc`, which ONNX does not have.
        return 0.5 * x * (1.0 + ops.erf(x * 0.5**0.5))
    return ops.gelu(x, approximate=False)


def rms_normalization(x, scale, epsilon):
    """Normalises the last axis like `keras.ops.rms_normalization`."""
    if BACKEND == "torch":
        import torch

        if torch.jit.is_tracing():
            # ONNX and OpenVINO lack torch's fused norm.
            mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
            normalized = x * ops.rsqrt(mean_square + epsilon)
            return normalized if scale is None else normalized * scale
    return ops.rms_normalization(x, scale=scale, epsilon=epsilon)


def move_average(averages, variables, momentum):
    """Sets each average to `momentum * average + (1 - momentum) * variable`."""
    if BACKEND == "torch":
        import torch

        # One fused kernel for all weights in place of three for each.
        with torch.no_grad():
            torch._foreach_lerp_(
                [average.value for average in averages],
                [variable.value for variable in variables],
                float(1.0 - momentum),
            )
        return
    for average, variable in zip(averages, variables, strict=True):
        average.assign(
            momentum * average.value + (1.0 - momentum) * variable.value
        )


@contextlib.contextmanager
def restored_on_error(model):
    """Gives a model its values back if compiling its step fails.

    On JAX, Keras takes the values out of the variables before the first step
    and only puts back what a step has returned. A bad batch would leave a
    trained model without weights.

    Args:
        model: A `keras.Model`, built.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        # TensorFlow cannot repeat it after a failed step, and on JAX its
        # variables must be among those to restore.
        optimizer.build(model.trainable_variables)
    if BACKEND != "jax":
        yield
        return
    variables = [*model.variables, *model.metrics_variables]
    if optimizer is not None:
        variables += optimizer.variables
    values = [(variable, variable.value) for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in values:
            if variable._value is None and not value.is_deleted():
                variable._value = value
        raise


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
