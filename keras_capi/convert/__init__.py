"""Weights from other implementations."""

from keras_capi.convert.torch_checkpoint import load_torch_checkpoint

__all__ = [
    "load_torch_checkpoint",
]
