"""Networks that predict what an encoder did not see from what it saw."""

from keras_capi.decoders.convolutional_decoder import ConvolutionalDecoder
from keras_capi.decoders.convolutional_predictor import ConvolutionalPredictor
from keras_capi.decoders.cross_attention_predictor import (
    CrossAttentionPredictor,
)
from keras_capi.decoders.fused_predictor import FusedPredictor
from keras_capi.decoders.joint_predictor import JointPredictor
from keras_capi.decoders.mask_token_decoder import MaskTokenDecoder
from keras_capi.decoders.self_attention_predictor import SelfAttentionPredictor

__all__ = [
    "ConvolutionalDecoder",
    "ConvolutionalPredictor",
    "CrossAttentionPredictor",
    "FusedPredictor",
    "JointPredictor",
    "MaskTokenDecoder",
    "SelfAttentionPredictor",
]
