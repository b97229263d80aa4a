"""Masking: which patches to hide, and which of them to predict."""

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

__all__ = [
    "BlockMasking",
    "BlockwiseMasking",
    "CellMasking",
    "IndependentMasking",
    "InverseBlockMasking",
    "InverseSquareMasking",
    "MultiBlockMasking",
    "PatchMasking",
    "PrefixMasking",
    "RandomMasking",
    "ScatteredMasking",
    "StratifiedMasking",
]
