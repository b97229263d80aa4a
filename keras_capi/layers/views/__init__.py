"""Views of an image: crops, changed colours, corruptions."""

from keras_capi.layers.views.color_augmentation import ColorAugmentation
from keras_capi.layers.views.color_removal import ColorRemoval
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.layers.views.random_resized_crop import RandomResizedCrop

__all__ = [
    "ColorAugmentation",
    "ColorRemoval",
    "MultiCrop",
    "RandomResizedCrop",
]
