"""Features of many images, in memory or on the disk."""

from keras_capi.features.extract_features import extract_features

__all__ = [
    "extract_features",
]
