"""Watching a model while it trains, and resuming after interruptions."""

from keras_capi.callbacks.checkpoint import Checkpoint
from keras_capi.callbacks.clustering_health import ClusteringHealth
from keras_capi.callbacks.feature_health import FeatureHealth
from keras_capi.callbacks.feature_images import FeatureImages
from keras_capi.callbacks.knn_evaluation import KNNEvaluation
from keras_capi.callbacks.reconstruction_images import ReconstructionImages

__all__ = [
    "Checkpoint",
    "ClusteringHealth",
    "FeatureHealth",
    "FeatureImages",
    "KNNEvaluation",
    "ReconstructionImages",
]
