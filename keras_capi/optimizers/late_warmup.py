import keras
from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class LateWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up before a schedule, all of it one update late.

    This is how timm steps its schedules, after each update and with the number
    of that update: update `k` uses the value at `t = k - 1`, and the first two
    both use the start value.

    ```
    t < warmup_steps: start + t * (schedule(0) - start) / warmup_steps
    then: schedule(t)
    ```

    The schedule also counts the steps of the warm-up, so a cosine jumps down
    where the warm-up ends.

    Args:
        schedule: A Keras schedule, which starts with the base value.
        warmup_steps: Integer. Steps of the warm-up. Defaults to `0`.
        start_value: Float. The value of the first update. Defaults to `0.0`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> learning_rate = keras_capi.optimizers.LateWarmup(
    ...     keras.optimizers.schedules.PiecewiseConstantDecay(
    ...         [87_499], [1e-4, 1e-5]
    ...     ),
    ...     warmup_steps=1250,
    ...     start_value=5e-7,
    ... )

    Reference:

    - [SimMIM](https://arxiv.org/abs/2111.09886), section 4.1 (schedules)
    """

    def __init__(self, schedule, warmup_steps=0, start_value=0.0):
        super().__init__()
        if not isinstance(
            schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            raise ValueError(
                "`schedule` must be a Keras schedule. "
                f"Received: schedule={schedule!r}"
            )
        check_non_negative_integer("warmup_steps", warmup_steps)
        check_non_negative("start_value", start_value)
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.start_value = start_value

    def __call__(self, step):
        step = ops.maximum(ops.cast(step, "float32") - 1.0, 0.0)
        base = ops.cast(self.schedule(0), "float32")
        slope = (base - self.start_value) / max(self.warmup_steps, 1)
        return ops.where(
            step < self.warmup_steps,
            self.start_value + slope * step,
            self.schedule(step),
        )

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "warmup_steps": self.warmup_steps,
            "start_value": self.start_value,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})
