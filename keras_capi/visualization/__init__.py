"""Pictures of what a model has learned, and of how it was trained."""

from keras_capi.visualization.attention_maps import attention_maps
from keras_capi.visualization.completion_pictures import completion_pictures
from keras_capi.visualization.dictionary_maps import dictionary_maps
from keras_capi.visualization.feature_pictures import feature_pictures
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.picture_grid import picture_grid
from keras_capi.visualization.prototype_browser import nearest_patches
from keras_capi.visualization.prototype_browser import prototype_browser
from keras_capi.visualization.reconstruction_pictures import (
    reconstruction_pictures,
)
from keras_capi.visualization.report import write_report
from keras_capi.visualization.training_curves import training_curves
from keras_capi.visualization.word_pictures import word_pictures

__all__ = [
    "attention_maps",
    "completion_pictures",
    "dictionary_maps",
    "feature_pictures",
    "nearest_patches",
    "picture_grid",
    "principal_components",
    "prototype_browser",
    "reconstruction_pictures",
    "training_curves",
    "word_pictures",
    "write_report",
]
