"""Networks from images to features: all that a method pretrains."""

from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.encoders.rotary_vit import RotaryViT

__all__ = [
    "CAPIBackbone",
    "RotaryViT",
]
