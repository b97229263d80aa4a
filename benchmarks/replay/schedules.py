"""Schedules as files describe them."""

import keras
from keras import ops

import keras_capi


def warmup_cosine(base_value, total_steps, warmup_steps=0, **arguments):
    """Returns a `WarmupCosine`, of which the warm-up may be all.

    Of a cosine that no step comes to, the length does not matter.

    Args:
        base_value: Float.
        total_steps: Integer. Steps of the training.
        warmup_steps: Integer. Defaults to `0`.
        **arguments: See `keras_capi.optimizers.WarmupCosine`. All of the cosine
            is used, unless `truncate` is there.
    """
    return keras_capi.optimizers.WarmupCosine(
        base_value,
        max(total_steps, warmup_steps + 1),
        warmup_steps,
        **{"truncate": 1.0, **arguments},
    )


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """SimMIM's straight line to a hundredth, which starts behind the warm-up.

    Args:
        base_value: Float.
        total_steps: Integer. Steps of the training.
        warmup_steps: Integer. The value stays the same so long.
    """

    def __init__(self, base_value, total_steps, warmup_steps):
        self.base_value = base_value
        self.warmup_steps = warmup_steps
        self.num_steps = total_steps - warmup_steps

    def __call__(self, step):
        done = ops.maximum(step - self.warmup_steps, 0) / self.num_steps
        return self.base_value * (1.0 - 0.99 * done)
