"""The base class of all pretraining methods, and what they share."""

from keras_capi.training.moving_average import MovingAverage
from keras_capi.training.pretraining import Pretraining

__all__ = ["MovingAverage", "Pretraining"]
