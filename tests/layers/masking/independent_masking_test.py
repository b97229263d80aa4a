import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import IndependentMasking

CASES = {
    "all_arguments": battery.Case(
        IndependentMasking,
        {"grid_size": (4, 5), "mask_ratio": 0.3, "seed": 2},
        (np.zeros((8,), "float32"),),
        {"mask": battery.Output((8, 20), "bool")},
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_patches_are_hidden_independently():
    masking = IndependentMasking((2, 2), 0.3, seed=0)
    masks = to_numpy(masking(np.zeros((20000,), "float32"))["mask"])
    counts = np.bincount(masks.sum(axis=1), minlength=5) / len(masks)
    binomial = (
        [1, 4, 6, 4, 1] * 0.3 ** np.arange(5) * 0.7 ** np.arange(4, -1, -1)
    )
    np.testing.assert_allclose(counts, binomial, atol=0.012)
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.012)
