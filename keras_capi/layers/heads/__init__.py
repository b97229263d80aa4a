"""Heads: from features to the inputs of a loss."""

from keras_capi.layers.heads.alexnet_head import AlexNetHead
from keras_capi.layers.heads.dino_head import DINOHead
from keras_capi.layers.heads.discriminator import Discriminator
from keras_capi.layers.heads.pair_head import PairHead
from keras_capi.layers.heads.patch_mlp import PatchMLP
from keras_capi.layers.heads.projection_head import ProjectionHead
from keras_capi.layers.heads.prototype_head import PrototypeHead
from keras_capi.layers.heads.simclr_head import SimCLRHead
from keras_capi.layers.heads.swav_head import SwAVHead
from keras_capi.layers.heads.unit_prototypes import UnitPrototypes

__all__ = [
    "AlexNetHead",
    "DINOHead",
    "Discriminator",
    "PairHead",
    "PatchMLP",
    "ProjectionHead",
    "PrototypeHead",
    "SimCLRHead",
    "SwAVHead",
    "UnitPrototypes",
]
