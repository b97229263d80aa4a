"""The systems of pretraining: one class a file, named as in its paper."""

from keras_capi.methods.capi import CAPI
from keras_capi.methods.masked_prediction import MaskedPrediction

__all__ = [
    "CAPI",
    "MaskedPrediction",
]
