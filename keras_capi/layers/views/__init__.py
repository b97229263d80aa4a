"""Other looks at an image: crops, colours."""

from keras_capi.layers.views.random_resized_crop import RandomResizedCrop

__all__ = [
    "RandomResizedCrop",
]
