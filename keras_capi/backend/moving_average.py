"""The moving average of many variables."""

import keras
from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.values import values_of


def move_average(averages, variables, momentum, applied):
    """Sets each average to `momentum * average + (1 - momentum) * variable`.

    If the step was not applied, or with a momentum of 1, the averages stay as
    they are, even if a variable is not finite; and so do those that are not
    floats, such as counters of random numbers. No value is read on the host,
    which would make a GPU wait.

    Args:
        averages: List of variables.
        variables: List of variables, of the same length.
        momentum: Float32 scalar tensor.
        applied: Boolean scalar tensor.
    """
    moves = ops.logical_and(applied, momentum < 1.0)
    rate = 1.0 - momentum
    pairs = list(zip(averages, variables, strict=True))
    if BACKEND == "torch":
        pairs = _move_at_once(pairs, rate, moves)
    for average, variable in pairs:
        if not keras.backend.is_float_dtype(average.dtype):
            continue
        # Read once. TensorFlow would do so for each operation.
        old, new = (ops.convert_to_tensor(x.value) for x in (average, variable))
        moved = old + ops.cast(rate, old.dtype) * (new - old)
        average.assign(ops.where(moves, moved, old))


def _move_at_once(pairs, rate, moves):
    """Moves all averages that one kernel can move, and returns the others."""
    import torch

    if torch.compiler.is_compiling():
        # The compiler does not know the kernel, but makes a similar one.
        return pairs
    averages, values, others = [], [], []
    for pair, average, value in zip(
        pairs, *map(values_of, zip(*pairs, strict=True)), strict=True
    ):
        if _has_fused_move(average, value):
            averages.append(average)
            values.append(value)
        else:
            others.append(pair)
    if averages:
        _fused_move(averages, values, rate, moves)
    return others


def _has_fused_move(average, value):
    import torch

    # The kernel ignores strides and needs a single dtype, and in half precision
    # that of torch 2.13 for CPUs leaves out the decay.
    return average.dtype == value.dtype == torch.float32 and (
        average.is_contiguous() and value.is_contiguous()
    )


def _fused_move(averages, values, rate, moves):
    """Moves averages with torch's own kernel for gradient descent.

    Its update, `average -= rate * (1 * average - value)`, is the required one,
    for all averages in one call, and can be skipped on the device.
    """
    import torch

    with torch.no_grad():
        torch._fused_sgd_(
            averages,
            values,
            [],
            weight_decay=1.0,
            momentum=0.0,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=True,
            is_first_step=False,
            found_inf=torch.logical_not(moves).to(torch.float32),
        )
