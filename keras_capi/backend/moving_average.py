"""The moving average of many variables."""

from keras import ops

from keras_capi.backend.active import BACKEND


def move_average(averages, variables, momentum, applied):
    """Sets each average to `momentum * average + (1 - momentum) * variable`.

    A step that was not applied, or a momentum of 1, leaves them as they are,
    even where a variable is not finite.

    Args:
        averages: List of variables.
        variables: List of variables, as many.
        momentum: Float32 scalar tensor.
        applied: Boolean scalar tensor.
    """
    moves = ops.logical_and(applied, momentum < 1.0)
    if BACKEND == "torch":
        import torch

        if moves:
            # One fused kernel for all weights in place of three for each.
            with torch.no_grad():
                torch._foreach_lerp_(
                    [average.value for average in averages],
                    [variable.value for variable in variables],
                    float(1.0 - momentum),
                )
        return
    for average, variable in zip(averages, variables, strict=True):
        old, new = average.value, variable.value
        moved = old + ops.cast(1.0 - momentum, old.dtype) * (new - old)
        average.assign(ops.where(moves, moved, old))
