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


def check_can_gather():
    """Raises a `ValueError` where a process cannot compute by itself."""
    if BACKEND == "jax" and num_processes() > 1:
        raise ValueError(
            "On JAX a method that computes the features of a whole data set "
            "must be trained by one process, which may have several devices. "
            f"Received: {num_processes()} processes"
        )


def global_batch(batch):
    """Returns what functions of the model take outside of a training step.

    On JAX they are written for the whole batch, of which each process has a
    share. Elsewhere each process goes on with its own.

    Args:
        batch: Dictionary of arrays.
    """
    if BACKEND != "jax" or num_processes() == 1:
        return batch
    import jax

    distribution = keras.distribution.distribution()

    def join(array):
        layout = distribution.get_data_layout(array.shape).backend_layout
        return jax.make_array_from_process_local_data(layout, array)

    return {name: join(np.asarray(array)) for name, array in batch.items()}
