"""What turns a teacher's features into targets."""

from keras_capi.layers.targets.centering import Centering
from keras_capi.layers.targets.feature_queue import FeatureQueue
from keras_capi.layers.targets.online_clustering import OnlineClustering

__all__ = [
    "Centering",
    "FeatureQueue",
    "OnlineClustering",
]
