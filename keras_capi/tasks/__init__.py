"""What to do with a pretrained encoder: features, classes, segments."""

from keras_capi.tasks.capi_classifier import CAPIClassifier
from keras_capi.tasks.capi_segmenter import CAPISegmenter
from keras_capi.tasks.feature_extractor import FeatureExtractor

__all__ = [
    "CAPIClassifier",
    "CAPISegmenter",
    "FeatureExtractor",
]
