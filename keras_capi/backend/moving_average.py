"""The moving average of many variables."""

from keras_capi.backend.active import BACKEND


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
