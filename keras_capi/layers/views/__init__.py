"""Views of an image: crops, changed colours, corruptions."""

from keras_capi.layers.views.center_region import CenterRegion
from keras_capi.layers.views.color_augmentation import ColorAugmentation
from keras_capi.layers.views.color_removal import ColorRemoval
from keras_capi.layers.views.corruption import Corruption
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.layers.views.patch_grid import PatchGrid
from keras_capi.layers.views.random_regions import RandomRegions
from keras_capi.layers.views.random_resized_crop import RandomResizedCrop

__all__ = [
    "CenterRegion",
    "ColorAugmentation",
    "ColorRemoval",
    "Corruption",
    "MultiCrop",
    "PatchGrid",
    "RandomRegions",
    "RandomResizedCrop",
]
