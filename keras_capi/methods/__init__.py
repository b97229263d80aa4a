"""The systems of pretraining: one class a file, named as in its paper."""

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

__all__ = [
    "AIM",
    "BEiT",
    "CAPI",
    "Colorization",
    "ContextEncoder",
    "DINO",
    "DINOv2",
    "Data2Vec",
    "Data2Vec2",
    "DeepCluster",
    "DeepClusterV1",
    "DenoisingAutoencoder",
    "DiscreteVAE",
    "IBOT",
    "IJEPA",
    "ImageGPT",
    "MAE",
    "RelativePosition",
    "RotationPrediction",
    "SimCLR",
    "SimMIM",
    "SwAV",
]
