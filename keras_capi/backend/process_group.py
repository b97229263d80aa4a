"""Data-parallel training in torch's process groups."""

import contextlib

from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import all_reduce
from keras_capi.backend.replicas import replica


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
