import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.layers import PrefixMasking


def test_all_lengths_but_none_and_all_are_alike():
    masking = PrefixMasking((2, 3), seed=0)
    lengths = to_numpy(masking(np.zeros((6000,)))["prefix_length"])
    counts = np.bincount(lengths, minlength=7)
    assert counts[0] == counts[6] == 0
    # Within four deviations.
    np.testing.assert_allclose(counts[1:6], 1200, atol=4 * 31)


def test_one_patch_is_too_few():
    with pytest.raises(ValueError, match="two patches or more"):
        PrefixMasking()(np.zeros((2,)), grid_size=(1, 1))
    with pytest.raises(ValueError, match="two patches or more"):
        PrefixMasking((1, 1))
