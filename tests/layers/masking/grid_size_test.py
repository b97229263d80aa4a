"""The grid of a call is checked as that of the constructor is."""

import numpy as np
import pytest
from backend_helpers import on_one_backend

from keras_capi import layers

MASKINGS = [
    layers.BlockMasking,
    layers.BlockwiseMasking,
    layers.CellMasking,
    layers.IndependentMasking,
    layers.InverseSquareMasking,
    layers.MultiBlockMasking,
    layers.PrefixMasking,
    layers.RandomMasking,
    layers.StratifiedMasking,
]


@on_one_backend("grids are checked before anything is computed")
@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize(
    "grid_size", [(0, 6), (-4, -6), (4.0, 6), (True, 6), (4, 6, 2), 24]
)
def test_bad_grids(masking, grid_size):
    with pytest.raises(ValueError, match="`grid_size` must be"):
        masking()(np.zeros((2,), "float32"), grid_size=grid_size)
