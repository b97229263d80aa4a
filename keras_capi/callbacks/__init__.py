"""What to watch while a model trains."""

from keras_capi.callbacks.clustering_health import ClusteringHealth
from keras_capi.callbacks.feature_images import FeatureImages
from keras_capi.callbacks.knn_evaluation import KNNEvaluation
