import math

import keras
from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """CAPI's schedule: a linear warm-up, then a cosine that is cut short.

    For learning rates, and for the momentum of the moving average, which
    follows `1 - learning rate`. With `n = total_steps - warmup_steps`:

    ```
    warm-up, i < warmup_steps: linspace(start, base, warmup_steps)[i]
    then, i = 0 ... n - 1:
        final + (base - final) / 2 * (1 + cos(pi * truncate * i / n))
    ```

    So the warm-up has the start value at step 0 and the base value at its last
    step. The cosine, of which only the share `truncate` is used, never reaches
    the final value. Later steps keep the last value. DINO's schedules use
    `truncate=1.0`, MAE's also `warmup_endpoint=False`, and I-JEPA's also
    `first_step=1`, so that `i` counts from 1 and the last step has the final
    value.

    Args:
        base_value: Float. The value after the warm-up.
        total_steps: Integer. Number of steps, including the warm-up.
        warmup_steps: Integer. Steps of the warm-up. Defaults to `0`.
        start_value: Float. The value at step 0. Defaults to `0.0`.
        final_value: Float. The value at which the whole cosine would end.
            Defaults to `0.0`.
        truncate: Float in `(0, 1]`. Share of the cosine that is used. Defaults
            to `0.8`.
        warmup_endpoint: Boolean. Whether the last step of the warm-up has the
            base value, as in `numpy.linspace`; if not, the step after it has.
            Defaults to `True`.
        first_step: Integer, 0 or 1. The number of the first step. Defaults to
            `0`.

    Raises:
        ValueError: If an argument is out of range, or `warmup_steps` is not
            below `total_steps`.

    Example:

    >>> learning_rate = keras_capi.optimizers.WarmupCosine(
    ...     1e-3, total_steps=100_000, warmup_steps=10_000
    ... )
    >>> momentum = keras_capi.optimizers.WarmupCosine(
    ...     0.999, 100_000, 10_000, start_value=1.0, final_value=1.0
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4.1 (schedules)
    - [MAE](https://arxiv.org/abs/2111.06377), appendix A.1
    - [DINO](https://arxiv.org/abs/2104.14294), section 3.2
    - [I-JEPA](https://arxiv.org/abs/2301.08243), appendix A.1
    """

    def __init__(
        self,
        base_value,
        total_steps,
        warmup_steps=0,
        start_value=0.0,
        final_value=0.0,
        truncate=0.8,
        warmup_endpoint=True,
        first_step=0,
    ):
        super().__init__()
        check_positive_integer("total_steps", total_steps)
        check_non_negative_integer("warmup_steps", warmup_steps)
        if warmup_steps >= total_steps:
            raise ValueError(
                "`warmup_steps` must be in [0, total_steps). Received: "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        check_non_negative("base_value", base_value)
        check_non_negative("start_value", start_value)
        check_non_negative("final_value", final_value)
        check_number("truncate", truncate, "(0, 1]")
        if not is_integer(first_step) or first_step not in (0, 1):
            raise ValueError(
                "`first_step` must be 0 or 1. "
                f"Received: first_step={first_step!r}"
            )
        self.base_value = base_value
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.start_value = start_value
        self.final_value = final_value
        self.truncate = truncate
        self.warmup_endpoint = warmup_endpoint
        self.first_step = first_step

    def __call__(self, step):
        step = ops.cast(step, "float32") + self.first_step
        num_steps = self.total_steps - self.warmup_steps
        last = num_steps - 1 + self.first_step
        cosine_step = ops.clip(step - self.warmup_steps, 0, last)
        angle = math.pi * self.truncate / num_steps * cosine_step
        half_range = (self.base_value - self.final_value) / 2
        cosine = self.final_value + half_range * (1.0 + ops.cos(angle))
        intervals = self.warmup_steps - bool(self.warmup_endpoint)
        slope = (self.base_value - self.start_value) / max(intervals, 1)
        warmup = self.start_value + slope * step
        return ops.where(step < self.warmup_steps, warmup, cosine)

    def get_config(self):
        return {
            "base_value": self.base_value,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "start_value": self.start_value,
            "final_value": self.final_value,
            "truncate": self.truncate,
            "warmup_endpoint": self.warmup_endpoint,
            "first_step": self.first_step,
        }
