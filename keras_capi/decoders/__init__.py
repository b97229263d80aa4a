"""Networks from what an encoder saw to what it did not see."""

from keras_capi.decoders.cross_attention_predictor import (
    CrossAttentionPredictor,
)

__all__ = [
    "CrossAttentionPredictor",
]
