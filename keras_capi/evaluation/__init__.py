"""Evaluation: measures what a model has learned, from its features."""

from keras_capi.evaluation.any_match_accuracy import any_match_accuracy
from keras_capi.evaluation.cluster_usage import cluster_usage
from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.knn_classification import knn_classification
from keras_capi.evaluation.majority_vote import majority_vote
from keras_capi.evaluation.nearest_neighbors import nearest_neighbors
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.evaluation.patch_pixels import patch_pixels
from keras_capi.evaluation.probes.probe_classification import (
    probe_classification,
)
from keras_capi.evaluation.probes.standardize import standardize
from keras_capi.evaluation.segmentation import knn_segmentation
from keras_capi.evaluation.segmentation import logistic_segmentation
from keras_capi.evaluation.segmentation_scores import segmentation_scores

__all__ = [
    "any_match_accuracy",
    "cluster_usage",
    "clustered_features",
    "clustering_health",
    "knn_classification",
    "knn_segmentation",
    "logistic_segmentation",
    "majority_vote",
    "nearest_neighbors",
    "patch_features",
    "patch_pixels",
    "probe_classification",
    "segmentation_scores",
    "standardize",
]
