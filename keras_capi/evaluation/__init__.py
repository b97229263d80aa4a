"""Measures of what a model has learned."""

from keras_capi.evaluation.cluster_usage import cluster_usage
