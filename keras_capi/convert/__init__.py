"""Converts weights of other implementations."""

from keras_capi.convert.image_gpt_checkpoint import load_image_gpt_checkpoint
from keras_capi.convert.torch_checkpoint import load_torch_checkpoint
from keras_capi.convert.torch_weights import load_torch_weights

__all__ = [
    "load_image_gpt_checkpoint",
    "load_torch_checkpoint",
    "load_torch_weights",
]
