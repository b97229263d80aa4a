import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from ops import numpy_masks

from keras_capi.layers import ScatteredMasking

CASES = {
    "all_arguments": battery.Case(
        ScatteredMasking,
        {"grid_size": (4, 5), "mask_ratio": ((0.2, 0.8),), "seed": 2},
        (np.zeros((8,), "float32"),),
        {"mask": battery.Output((8, 20), "bool")},
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def draw(masking, count):
    run = compile_layer(masking, FASTEST)
    return to_numpy(run(np.zeros((count, 1), "float32"))["mask"])


def test_subsets_are_uniform():
    masks = draw(ScatteredMasking((2, 4), 0.5, seed=0), 20000)
    _, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(counts) == 70
    score = numpy_masks.score_of_frequencies(counts, np.full(70, 1 / 70))
    assert score < 4


def test_shares_are_rounded_down():
    counts = draw(ScatteredMasking((10, 14), 0.72, seed=0), 8).sum(axis=1)
    assert (counts == 100).all()
    # 84 patches, though the share is not exact.
    counts = draw(ScatteredMasking((10, 14), 84 / 140), 8).sum(axis=1)
    assert (counts == 84).all()
    counts = draw(ScatteredMasking((4, 5), ((0.2, 0.4),)), 500).sum(axis=1)
    assert set(counts) == {4, 5, 6, 7}
