"""Layers: the building blocks of encoders, decoders and methods."""

from keras_capi.layers.attention_pooling import AttentionPooling
from keras_capi.layers.blocks.attention import Attention
from keras_capi.layers.blocks.attention_dropout import AttentionDropout
from keras_capi.layers.blocks.drop_path import DropPath
from keras_capi.layers.blocks.layer_scale import LayerScale
from keras_capi.layers.blocks.relative_position_bias import RelativePositionBias
from keras_capi.layers.blocks.rotary_attention import RotaryAttention
from keras_capi.layers.blocks.transformer_block import TransformerBlock
from keras_capi.layers.color_palette import ColorPalette
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
from keras_capi.layers.masking.block_masking import BlockMasking
from keras_capi.layers.masking.blockwise_masking import BlockwiseMasking
from keras_capi.layers.masking.cell_masking import CellMasking
from keras_capi.layers.masking.independent_masking import IndependentMasking
from keras_capi.layers.masking.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.masking.inverse_square_masking import (
    InverseSquareMasking,
)
from keras_capi.layers.masking.multi_block_masking import MultiBlockMasking
from keras_capi.layers.masking.patch_masking import PatchMasking
from keras_capi.layers.masking.prefix_masking import PrefixMasking
from keras_capi.layers.masking.random_masking import RandomMasking
from keras_capi.layers.masking.scattered_masking import ScatteredMasking
from keras_capi.layers.masking.stratified_masking import StratifiedMasking
from keras_capi.layers.norms.imagenet_normalization import ImageNetNormalization
from keras_capi.layers.norms.layer_normalization import LayerNormalization
from keras_capi.layers.norms.rms_normalization import RMSNormalization
from keras_capi.layers.random_state import RandomState
from keras_capi.layers.targets.centering import Centering
from keras_capi.layers.targets.color_targets import ColorTargets
from keras_capi.layers.targets.distilled_targets import DistilledTargets
from keras_capi.layers.targets.embedding_memory import EmbeddingMemory
from keras_capi.layers.targets.feature_queue import FeatureQueue
from keras_capi.layers.targets.image_labels import ImageLabels
from keras_capi.layers.targets.latent_targets import LatentTargets
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.layers.targets.sinkhorn_centering import SinkhornCentering
from keras_capi.layers.tokens.coordinate_table import CoordinateTable
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.layers.tokens.patch_embedding import PatchEmbedding
from keras_capi.layers.tokens.position_table import PositionTable
from keras_capi.layers.tokens.prefix_tokens import PrefixTokens
from keras_capi.layers.tokens.register_tokens import RegisterTokens
from keras_capi.layers.views.center_region import CenterRegion
from keras_capi.layers.views.color_augmentation import ColorAugmentation
from keras_capi.layers.views.color_removal import ColorRemoval
from keras_capi.layers.views.corruption import Corruption
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.layers.views.patch_grid import PatchGrid
from keras_capi.layers.views.random_regions import RandomRegions
from keras_capi.layers.views.random_resized_crop import RandomResizedCrop

__all__ = [
    "AlexNetHead",
    "Attention",
    "AttentionDropout",
    "AttentionPooling",
    "BlockMasking",
    "BlockwiseMasking",
    "CellMasking",
    "CenterRegion",
    "Centering",
    "ColorAugmentation",
    "ColorPalette",
    "ColorRemoval",
    "ColorTargets",
    "CoordinateTable",
    "Corruption",
    "DINOHead",
    "Discriminator",
    "DistilledTargets",
    "DropPath",
    "EmbeddingMemory",
    "FeatureQueue",
    "ImageLabels",
    "ImageNetNormalization",
    "IndependentMasking",
    "InverseBlockMasking",
    "InverseSquareMasking",
    "LatentTargets",
    "LayerNormalization",
    "LayerScale",
    "MaskToken",
    "MultiBlockMasking",
    "MultiCrop",
    "OnlineClustering",
    "PairHead",
    "PatchEmbedding",
    "PatchGrid",
    "PatchMLP",
    "PatchMasking",
    "PatchTargets",
    "PositionTable",
    "PrefixMasking",
    "PrefixTokens",
    "ProjectionHead",
    "PrototypeHead",
    "RMSNormalization",
    "RandomMasking",
    "RandomRegions",
    "RandomResizedCrop",
    "RandomState",
    "RegisterTokens",
    "RelativePositionBias",
    "RotaryAttention",
    "ScatteredMasking",
    "SimCLRHead",
    "SinkhornCentering",
    "StratifiedMasking",
    "SwAVHead",
    "TransformerBlock",
    "UnitPrototypes",
]
