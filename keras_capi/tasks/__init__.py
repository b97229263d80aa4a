"""Uses of a pretrained encoder: features, classification, segmentation."""

from keras_capi.tasks.feature_extractor import FeatureExtractor
from keras_capi.tasks.image_classifier import ImageClassifier
from keras_capi.tasks.image_segmenter import ImageSegmenter

__all__ = [
    "FeatureExtractor",
    "ImageClassifier",
    "ImageSegmenter",
]
