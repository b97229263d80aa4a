"""All models by name: encoders, decoders, pretraining methods and tasks."""

from keras_capi.decoders.cross_attention_predictor import (
    CrossAttentionPredictor,
)
from keras_capi.decoders.fused_predictor import FusedPredictor
from keras_capi.decoders.joint_predictor import JointPredictor
from keras_capi.decoders.mask_token_decoder import MaskTokenDecoder
from keras_capi.decoders.self_attention_predictor import SelfAttentionPredictor
from keras_capi.encoders.aim_encoder import AIMEncoder
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.encoders.convolutional_encoder import ConvolutionalEncoder
from keras_capi.encoders.image_gpt import ImageGPTEncoder
from keras_capi.encoders.rotary_vit import RotaryViT
from keras_capi.encoders.sobel_vit import SobelViT
from keras_capi.encoders.vit import ViT
from keras_capi.methods.aim import AIM
from keras_capi.methods.beit import BEiT
from keras_capi.methods.capi import CAPI
from keras_capi.methods.colorization import Colorization
from keras_capi.methods.context_encoder import ContextEncoder
from keras_capi.methods.data2vec import Data2Vec
from keras_capi.methods.data2vec2 import Data2Vec2
from keras_capi.methods.deepcluster import DeepCluster
from keras_capi.methods.deepcluster_v1 import DeepClusterV1
from keras_capi.methods.denoising_autoencoder import DenoisingAutoencoder
from keras_capi.methods.dino import DINO
from keras_capi.methods.dinov2 import DINOv2
from keras_capi.methods.discrete_vae import DiscreteVAE
from keras_capi.methods.ibot import IBOT
from keras_capi.methods.ijepa import IJEPA
from keras_capi.methods.image_gpt import ImageGPT
from keras_capi.methods.mae import MAE
from keras_capi.methods.relative_position import RelativePosition
from keras_capi.methods.rotation_prediction import RotationPrediction
from keras_capi.methods.simclr import SimCLR
from keras_capi.methods.simmim import SimMIM
from keras_capi.methods.swav import SwAV
from keras_capi.tasks.feature_extractor import FeatureExtractor
from keras_capi.tasks.image_classifier import ImageClassifier
from keras_capi.tasks.image_segmenter import ImageSegmenter

# Their former names.
CAPIClassifier = ImageClassifier
CAPISegmenter = ImageSegmenter
ViTEncoder = RotaryViT

__all__ = [
    "AIM",
    "AIMEncoder",
    "BEiT",
    "CAPI",
    "CAPIBackbone",
    "CAPIClassifier",
    "CAPISegmenter",
    "Colorization",
    "ContextEncoder",
    "ConvolutionalEncoder",
    "CrossAttentionPredictor",
    "DINO",
    "DINOv2",
    "Data2Vec",
    "Data2Vec2",
    "DeepCluster",
    "DeepClusterV1",
    "DenoisingAutoencoder",
    "DiscreteVAE",
    "FeatureExtractor",
    "FusedPredictor",
    "IBOT",
    "IJEPA",
    "ImageClassifier",
    "ImageGPT",
    "ImageGPTEncoder",
    "ImageSegmenter",
    "JointPredictor",
    "MAE",
    "MaskTokenDecoder",
    "RelativePosition",
    "RotaryViT",
    "RotationPrediction",
    "SelfAttentionPredictor",
    "SimCLR",
    "SimMIM",
    "SobelViT",
    "SwAV",
    "ViT",
    "ViTEncoder",
]
