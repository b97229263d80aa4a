"""Backbones by name: published weights, and architectures without weights."""

from keras_capi.presets.published import list_presets

__all__ = [
    "list_presets",
]
