"""Measures of what a model has learned."""

from keras_capi.evaluation.any_match_accuracy import any_match_accuracy
from keras_capi.evaluation.cluster_usage import cluster_usage
from keras_capi.evaluation.probe_classification import probe_classification
