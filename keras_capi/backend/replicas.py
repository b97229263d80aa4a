"""Index and number of replicas in distributed training, and their sums."""

from keras import ops

from keras_capi.backend.active import BACKEND


def replica():
    """Returns this replica's index and the number of replicas.

    Outside a step that several replicas run: 0 and 1.
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
    """Returns the index of this process in a training."""
    if BACKEND == "jax":
        import jax

        return jax.process_index()
    return replica()[0]


def num_processes():
    """Returns the number of processes that train, each with its batches."""
    if BACKEND == "jax":
        import jax

        return jax.process_count()
    return replica()[1]


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


def all_reduce_with_gradient(x):
    """Sums a tensor, and in the backward pass its gradient, over the replicas.

    Args:
        x: Tensor.
    """
    if replica()[1] == 1:
        return x
    if BACKEND == "tensorflow":
        return all_reduce(x, "sum")
    from torch.distributed.nn import functional

    return functional.all_reduce(x)


def check_strategy(model):
    """Raises a `ValueError` for options that `tf.distribute` does not allow.

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
