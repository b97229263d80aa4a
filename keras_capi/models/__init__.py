"""The models, composed of the layers."""

from keras_capi.models.capi import CAPI
from keras_capi.models.capi_backbone import CAPIBackbone
from keras_capi.models.capi_classifier import CAPIClassifier
from keras_capi.models.capi_segmenter import CAPISegmenter
from keras_capi.models.cross_attention_predictor import CrossAttentionPredictor
from keras_capi.models.feature_extractor import FeatureExtractor
from keras_capi.models.masked_prediction import MaskedPrediction
from keras_capi.models.vit_encoder import ViTEncoder
