"""Backbones by name: the published weights, and architectures without any."""

from keras_capi.presets.published import list_presets

__all__ = [
    "list_presets",
]
