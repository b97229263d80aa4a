import keras
import numpy as np
from keras import ops

from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ProbeSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The published schedule of probes: linear warm-up, then a full cosine.

    Unlike `keras_capi.optimizers.WarmupCosine`, which stops short of it, it
    reaches zero at the last step. With `w = num_steps // 10` the values are
    `linspace(0, 1, w)`, then `(cos(linspace(0, pi, num_steps - w)) + 1) / 2`.

    Args:
        num_steps: Integer. Number of steps, including the warm-up. Later steps
            keep the last value.

    Raises:
        ValueError: If `num_steps` is not a positive integer.

    Example:

    >>> schedule = ProbeSchedule(100)
    >>> [float(schedule(step)) for step in (0, 9, 99)]  # 0.0, 1.0, 0.0

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(self, num_steps):
        super().__init__()
        check_positive_integer("num_steps", num_steps)
        self.num_steps = num_steps
        warmup_steps = num_steps // 10
        angles = np.linspace(0, np.pi, num_steps - warmup_steps)
        self._values = np.concatenate(
            [np.linspace(0, 1, warmup_steps), (np.cos(angles) + 1) / 2]
        ).astype("float32")

    def __call__(self, step):
        step = ops.minimum(ops.cast(step, "int32"), self.num_steps - 1)
        return ops.take(ops.convert_to_tensor(self._values), step)

    def get_config(self):
        return {"num_steps": self.num_steps}
