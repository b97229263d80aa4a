"""What processes that train together tell each other between two steps."""

import keras
import numpy as np
from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import num_processes


def from_first_process(array):
    """Gives all processes what the first one has.

    The same sums differ in the last digits from one GPU to another, and a
    cluster may then have other members.

    Args:
        array: Array, tensor or variable, of the same shape and type in each
            process.

    Returns:
        NumPy array.
    """
    array = ops.convert_to_numpy(array)
    if num_processes() == 1:
        return array
    if BACKEND == "jax":
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.broadcast_one_to_all(array))
    import torch.distributed as dist

    tensor = ops.convert_to_tensor(array) + 0
    dist.broadcast(tensor, src=0)
    return ops.convert_to_numpy(tensor)


def gather_parts(array):
    """Joins the arrays of all processes along the first axis.

    Args:
        array: Array or tensor, of the same type in each process. One may have
            more or fewer entries than another, or none.

    Returns:
        NumPy array, the same in each process.
    """
    array = ops.convert_to_numpy(array)
    if num_processes() == 1:
        return array
    counts = gather_alike(np.array([len(array)], "int32"))[:, 0]
    parts = gather_alike(pad(array, max(counts)))
    pairs = zip(parts, counts, strict=True)
    return np.concatenate([part[:count] for part, count in pairs])


def gather_alike(array):
    """Stacks the arrays of several processes, which have the same shape.

    Args:
        array: NumPy array.

    Returns:
        NumPy array of shape `(processes, ...)`, the same in each process.
    """
    if BACKEND == "jax":
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(array)
    import torch
    import torch.distributed as dist

    tensor = ops.convert_to_tensor(array)
    parts = [torch.empty_like(tensor) for _ in range(num_processes())]
    dist.all_gather(parts, tensor)
    return ops.convert_to_numpy(torch.stack(parts))


def pad(array, count):
    """Appends zeros to an array until it has so many entries."""
    zeros = np.zeros((count - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, zeros])


def global_batch(batch):
    """Returns what functions of the model take outside of a training step.

    On JAX they are written for the whole batch, of which each process has a
    share. Elsewhere each process goes on with its own.

    Args:
        batch: Dictionary of arrays.
    """
    if BACKEND != "jax" or num_processes() == 1:
        return batch
    return {name: join_parts(np.asarray(x)) for name, x in batch.items()}


def join_parts(array):
    """Makes one array of all devices of parts that JAX's processes have.

    Args:
        array: NumPy array. Those of all processes have the same shape.
    """
    import jax

    layout = data_layout(array.ndim)
    return jax.make_array_from_process_local_data(layout, array)


def data_layout(num_axes):
    """Returns how JAX's processes share the first axis of an array.

    Raises:
        ValueError: If they do not train together.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        raise ValueError(
            "Several processes of JAX must train under `keras.distribution`, "
            "or each would train a model of its own: set "
            "`keras.distribution.DataParallel` before the model is made. "
            f"Received: {num_processes()} processes, and no distribution"
        )
    return distribution.get_data_layout((None,) * num_axes).backend_layout
