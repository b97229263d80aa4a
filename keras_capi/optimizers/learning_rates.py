"""What the optimizers share: checks, and rates that move together."""

import keras
from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


def as_rate(name, rate):
    """Returns a learning rate as a schedule or a float, or raises."""
    if callable(rate):
        return rate
    if hasattr(rate, "shape"):
        rate = float(ops.convert_to_numpy(rate))
    check_non_negative(name, rate)
    return float(rate)


def check_settable(name, rate, value):
    """Raises a `ValueError` if a rate is a schedule, which sets itself."""
    if callable(rate):
        raise ValueError(
            f"`{name}` follows a schedule and cannot be set: make the "
            "optimizer with a plain number as rate, without `total_steps`. "
            f"Received: {name}={value}"
        )


def check_moments(beta_1, beta_2, epsilon):
    """Raises a `ValueError` unless they suit Adam."""
    check_number("beta_1", beta_1, "[0, 1)")
    check_number("beta_2", beta_2, "[0, 1)")
    check_positive("epsilon", epsilon)


def check_accumulation(steps):
    """Raises a `ValueError` unless Keras can accumulate so many gradients."""
    check_positive_integer("gradient_accumulation_steps", steps, or_none=True)
    if steps == 1:
        raise ValueError(
            "`gradient_accumulation_steps` must be at least 2, or None. "
            "Received: gradient_accumulation_steps=1"
        )


class AdamW(keras.optimizers.AdamW):
    """An AdamW for some of the weights, whose rate depends on a common one.

    `keras.callbacks.ReduceLROnPlateau` and `LearningRateScheduler` set the rate
    of each optimizer within an optimizer. Where the rates depend on each other,
    setting one of them is enough.

    Args:
        learning_rate: Function that returns the rate.
        set_learning_rate: Function that sets it, or `None` if it follows when
            another is set.
        **kwargs: Other arguments of `keras.optimizers.AdamW`.
    """

    # The name of the class is part of the paths in saved files.

    def __init__(self, learning_rate, set_learning_rate, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.set_learning_rate = set_learning_rate

    @property
    def learning_rate(self):
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value):
        if self.set_learning_rate is not None:
            self.set_learning_rate(value)
