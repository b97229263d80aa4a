"""Extraction of the features of many images, to memory or disk."""

from keras_capi.features.extract_features import extract_features

__all__ = [
    "extract_features",
]
