"""Networks that turn images into features: what a method pretrains."""

from keras_capi.encoders.aim_encoder import AIMEncoder
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.encoders.convolutional_encoder import ConvolutionalEncoder
from keras_capi.encoders.encoder import Encoder
from keras_capi.encoders.image_gpt import ImageGPTEncoder
from keras_capi.encoders.resize_vit import resize_vit
from keras_capi.encoders.rotary_vit import RotaryViT
from keras_capi.encoders.sobel_vit import SobelViT
from keras_capi.encoders.vit import ViT

__all__ = [
    "AIMEncoder",
    "CAPIBackbone",
    "ConvolutionalEncoder",
    "Encoder",
    "ImageGPTEncoder",
    "RotaryViT",
    "SobelViT",
    "ViT",
    "resize_vit",
]
