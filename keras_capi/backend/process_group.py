"""Data-parallel training with torch's process groups."""

import contextlib
import datetime
import os

import keras
from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import all_reduce
from keras_capi.backend.replicas import num_processes
from keras_capi.backend.replicas import replica

# How long processes wait for each other at the start, in seconds.
PATIENCE = 120
# How a process comes to train together with the others of its launcher.
HOW_TO_JOIN = {
    "torch": "call `torch.distributed.init_process_group` first",
    "jax": "call `keras.distribution.initialize` first",
    "tensorflow": "start a single one: those of TensorFlow cannot join",
}


@contextlib.contextmanager
def launched_processes():
    """Joins the process group for which `torchrun` started this process.

    Does nothing in a process that was started alone, or has already joined.

    Raises:
        ValueError: If another backend is active, with which each process would
            train its own copy.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1 or replica()[1] > 1:
        yield
        return
    if BACKEND != "torch":
        raise ValueError(
            "`torchrun` starts several processes for torch alone: start a "
            "single one, or set `KERAS_BACKEND=torch`. "
            f"Received: backend {BACKEND}, WORLD_SIZE={count}"
        )
    import torch
    import torch.distributed as dist

    has_gpus = torch.cuda.is_available()
    if has_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if has_gpus else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def check_launched_process():
    """Raises a `RuntimeError` if a launched process would train by itself.

    Launchers such as `torchrun` start the same script several times, and leave
    it to the script to join the processes. Otherwise each trains the same model
    and overwrites the files of the others.
    """
    place, count = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE"))
    if place is None or count in (None, "1") or _has_joined():
        return
    raise RuntimeError(
        "Processes that a launcher such as `torchrun` has started must train "
        f"one model together: {HOW_TO_JOIN[BACKEND]}. To train a model of its "
        "own in each, delete `RANK` from `os.environ`. "
        f"Received: backend {BACKEND}, RANK={place}, WORLD_SIZE={count}, and "
        "a process that trains alone"
    )


def _has_joined():
    if BACKEND != "torch":
        return num_processes() > 1
    import torch.distributed as dist

    # Perhaps into a group of one, if the user chose so.
    return dist.is_available() and dist.is_initialized()


def check_keras_version():
    """Raises a `RuntimeError` if this Keras does not work with groups."""
    if BACKEND != "torch" or replica()[1] == 1:
        return
    if tuple(map(int, keras.version().split(".")[:2])) >= (3, 16):
        # It wraps models in `DistributedDataParallel`, which would average the
        # gradients a second time, and refuses frozen models.
        raise RuntimeError(
            "In a torch process group Keras must be older than 3.16. "
            f"Received: Keras {keras.version()}"
        )


def check_process_group(method):
    """Raises a `RuntimeError` unless all processes call a method.

    Those that do would wait forever for the others.

    Args:
        method: String. The method of a model.
    """
    if BACKEND != "torch" or replica()[1] == 1:
        return
    import torch.distributed as dist

    if dist.get_backend() != "gloo":
        # NCCL itself ends what waits for too long.
        return
    try:
        dist.monitored_barrier(timeout=datetime.timedelta(seconds=PATIENCE))
    except RuntimeError as error:
        raise RuntimeError(
            f"All processes of a group must call `{method}`, within {PATIENCE} "
            "seconds: it averages over them. If one has something else to do "
            "before, let the others wait in `torch.distributed.barrier()`. "
            f"Received: a call from process {replica()[0]}. ({error})"
        ) from error


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
        # A single message instead of one for each weight.
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
    """Copies the values of a model and its optimizer from the first process.

    Args:
        model: A `keras.Model`, compiled and built.
    """
    if BACKEND != "torch" or replica()[1] == 1:
        return
    import torch.distributed as dist

    for variable in [*model.variables, *model.optimizer.variables]:
        value = variable.value.detach()
        # NCCL takes none of the host's, as states of random numbers are.
        shared = ops.convert_to_tensor(value)
        dist.broadcast(shared, src=0)
        value.copy_(shared)
