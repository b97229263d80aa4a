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


def replica():
    """Returns this replica's index and the number of replicas.

    Outside a step that is run by several replicas: 0 and 1.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return (
                context.replica_id_in_sync_group,
                context.num_replicas_in_sync,
            )
    if BACKEND == "torch":
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            return dist.get_rank(), dist.get_world_size()
    return 0, 1


def process_index():
    """Returns which of the processes of a training this one is."""
    if BACKEND == "jax":
        import jax

        return jax.process_index()
    return replica()[0]


def all_reduce(x, operation):
    """Combines a tensor over the replicas, see `keras_capi.ops.collectives`.

    Args:
        x: Tensor.
        operation: `"sum"` or `"max"`.
    """
    if replica()[1] == 1:
        return x
    if BACKEND == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if operation == "sum":
            return context.all_reduce(tf.distribute.ReduceOp.SUM, x)
        return ops.max(context.all_gather(x[None], axis=0), axis=0)
    import torch.distributed as dist

    reduced = x.detach().clone()
    operations = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}
    dist.all_reduce(reduced, operations[operation])
    return reduced


def check_strategy(model):
    """Raises a `ValueError` for what Keras cannot do under `tf.distribute`.

    Args:
        model: A compiled `keras.Model`.
    """
    if BACKEND != "tensorflow":
        return
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return
    name = type(strategy).__name__
    if name == "MultiWorkerMirroredStrategy":
        raise ValueError(
            "Keras cannot train under `MultiWorkerMirroredStrategy`; use "
            "`MirroredStrategy` on one machine, and JAX or torch for several."
        )
    accumulation = model.optimizer.get_config().get(
        "gradient_accumulation_steps"
    )
    for option, value, allowed in (
        ("jit_compile", model.jit_compile, False),
        ("steps_per_execution", model.steps_per_execution, 1),
        ("gradient_accumulation_steps", accumulation, None),
    ):
        if value != allowed:
            raise ValueError(
                f"Under `{name}` Keras needs `{option}={allowed}`. "
                f"Received: {option}={value}"
            )


@contextlib.contextmanager
def averaged_gradients(optimizer):
    """Averages the gradients over torch's processes before they are applied.

    The other backends do so by themselves.

    Args:
        optimizer: The `keras.optimizers.Optimizer` of a training step.
    """
    if BACKEND != "torch" or replica()[1] == 1:
        yield
        return
    apply = optimizer.apply

    def average_and_apply(gradients, *arguments):
        present = [x for x in gradients if x is not None]
        # One message, not one for each weight.
        flat = ops.concatenate([ops.reshape(x, (-1,)) for x in present])
        flat = all_reduce(flat, "sum") / replica()[1]
        parts = iter(flat.split([x.numel() for x in present]))
        averaged = [
            None if x is None else ops.reshape(next(parts), x.shape)
            for x in gradients
        ]
        return apply(averaged, *arguments)

    optimizer.apply = average_and_apply
    try:
        yield
    finally:
        del optimizer.apply


def share_variables(model):
    """Gives a model and its optimizer the values of torch's first process.

    Args:
        model: A `keras.Model`, compiled and built.
    """
    if BACKEND != "torch" or replica()[1] == 1:
        return
    import torch.distributed as dist

    for variable in [*model.variables, *model.optimizer.variables]:
        dist.broadcast(variable.value.detach(), src=0)


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
