"""What torch computes on the host, so that it need not wait for the GPU."""

import contextlib
import functools

import keras

from keras_capi.backend.active import BACKEND

# Up to this size CUDA takes what it is to copy at once.
SMALL_BYTES = 64 * 1024


def on_host():
    """Returns a scope in which torch makes tensors on the host.

    For small values that Python has to read in a training step. To read one
    from a GPU means waiting for all that was launched before, and then the GPU
    waits for the host. Compiled steps of the other backends read nothing.
    """
    if BACKEND != "torch":
        return contextlib.nullcontext()
    return keras.device("cpu")


def computed_on_host(function):
    """Lets torch run a function on the host, and move its results.

    Args:
        function: Function that takes no values of the device, and returns a
            structure of tensors.
    """
    if BACKEND != "torch":
        return function

    @functools.wraps(function)
    def compute(*args, **kwargs):
        with on_host():
            results = function(*args, **kwargs)
        device = keras.ops.empty(()).device
        return keras.tree.map_structure(
            lambda x: sent_to_device(x, device), results
        )

    return compute


def sent_to_device(x, device):
    """Copies a torch tensor of the host, on CUDA without waiting for it.

    CUDA first takes what is to be copied: a small tensor as it is, a large one
    only from memory that cannot be moved to the disk. Other devices may take it
    later, when the memory may hold something else.

    Args:
        x: Tensor.
        device: Name of a device, or `torch.device`.
    """
    import torch

    if torch.device(device).type != "cuda":
        return x.to(device)
    if (
        x.nbytes > SMALL_BYTES
        and x.device.type == "cpu"
        and not torch.compiler.is_compiling()
    ):
        x = x.pin_memory()
    return x.to(device, non_blocking=True)
