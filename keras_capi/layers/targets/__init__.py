"""Targets of the student, made from the teacher's features."""

from keras_capi.layers.targets.centering import Centering
from keras_capi.layers.targets.color_targets import ColorTargets
from keras_capi.layers.targets.distilled_targets import DistilledTargets
from keras_capi.layers.targets.embedding_memory import EmbeddingMemory
from keras_capi.layers.targets.feature_queue import FeatureQueue
from keras_capi.layers.targets.image_labels import ImageLabels
from keras_capi.layers.targets.latent_targets import LatentTargets
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.layers.targets.sinkhorn_centering import SinkhornCentering

__all__ = [
    "Centering",
    "ColorTargets",
    "DistilledTargets",
    "EmbeddingMemory",
    "FeatureQueue",
    "ImageLabels",
    "LatentTargets",
    "OnlineClustering",
    "PatchTargets",
    "SinkhornCentering",
]
