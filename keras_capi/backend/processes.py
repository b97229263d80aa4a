"""Communication of processes that train together, between two steps."""

import keras
import numpy as np
from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import num_processes


def from_first_process(array):
    """Broadcasts an array of the first process to all others.

    The same sums may differ in the last digits between GPUs, so that clusters
    would have different members.

    Args:
        array: Array, tensor or variable, of the same shape and dtype in each
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
    """Concatenates the arrays of all processes along the first axis.

    Args:
        array: Array or tensor, of the same dtype in each process. The number of
            entries may differ between processes, and may be 0.

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
    """Stacks the arrays of all processes, which have the same shape.

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
    """Appends zeros to an array until it has `count` entries."""
    zeros = np.zeros((count - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, zeros])


def global_batch(batch):
    """Returns a batch as the model takes it outside of a training step.

    On JAX the model takes the whole batch, of which each process has a share.
    On the other backends each process uses its own batch.

    Args:
        batch: Dictionary of arrays.
    """
    if BACKEND != "jax" or num_processes() == 1:
        return batch
    return {name: join_parts(np.asarray(x)) for name, x in batch.items()}


def join_parts(array):
    """Joins the parts of JAX's processes to one array on all devices.

    Args:
        array: NumPy array, of the same shape in each process.
    """
    import jax

    layout = data_layout(array.ndim)
    return jax.make_array_from_process_local_data(layout, array)


def data_layout(num_axes):
    """Returns the layout in which JAX's processes share the first axis.

    Raises:
        ValueError: If the processes do not train together.
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
