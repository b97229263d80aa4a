import keras
from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class EpochWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A value that grows from epoch to epoch, then stays constant.

    For the temperature of a teacher, whose targets should be sharp at first.
    The values of the epochs are `linspace(start, final, warmup_epochs)`, then
    `final`.

    Args:
        start_value: Float. The value of the first epoch.
        final_value: Float. The value of the last epoch of the warm-up and of
            all later ones.
        warmup_epochs: Integer. Epochs of the warm-up. With `0` the value is
            always `final_value`.
        steps_per_epoch: Integer. Updates in an epoch.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> temperature = keras_capi.optimizers.EpochWarmup(
    ...     0.04, 0.07, warmup_epochs=30, steps_per_epoch=1250
    ... )
    >>> [float(temperature(step)) for step in (0, 1249, 36250)]

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), section 3.2
    """

    def __init__(
        self, start_value, final_value, warmup_epochs, steps_per_epoch
    ):
        super().__init__()
        check_non_negative("start_value", start_value)
        check_non_negative("final_value", final_value)
        check_non_negative_integer("warmup_epochs", warmup_epochs)
        check_positive_integer("steps_per_epoch", steps_per_epoch)
        # On TensorFlow, NumPy's floats would make float64 of the values.
        self.start_value = float(start_value)
        self.final_value = float(final_value)
        self.warmup_epochs = warmup_epochs
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        epoch = ops.floor_divide(ops.cast(step, "int32"), self.steps_per_epoch)
        slope = (self.final_value - self.start_value) / max(
            self.warmup_epochs - 1, 1
        )
        warmup = self.start_value + slope * ops.cast(epoch, "float32")
        return ops.where(epoch < self.warmup_epochs, warmup, self.final_value)

    def get_config(self):
        return {
            "start_value": self.start_value,
            "final_value": self.final_value,
            "warmup_epochs": self.warmup_epochs,
            "steps_per_epoch": self.steps_per_epoch,
        }
