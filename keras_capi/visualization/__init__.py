"""Pictures of what a model has learned and of how it was trained."""

from keras_capi.visualization.feature_pictures import feature_pictures
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.training_curves import training_curves
