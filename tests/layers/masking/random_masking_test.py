import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from ops import numpy_masks

from keras_capi.layers import RandomMasking

IMAGES = np.zeros((8, 8, 12, 3), "float32")

CASES = {
    "all_arguments": battery.Case(
        RandomMasking,
        {
            "grid_size": (4, 5),
            "mask_ratio": 0.64,
            "prediction_ratio": 0.5,
            "seed": 2,
        },
        (IMAGES[:, 0, 0, 0],),
        {
            "visible_indices": battery.Output((8, 8), "int32"),
            "predict_indices": battery.Output((8, 6), "int32"),
        },
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_subsets_are_uniform():
    masking = RandomMasking((2, 4), 0.5, 0.5, seed=0)
    run = compile_layer(masking, FASTEST)
    outputs = run(np.zeros((20000, 1), "float32"))
    visible = to_numpy(outputs["visible_indices"])
    predict = to_numpy(outputs["predict_indices"])
    # The 70 sets of visible patches, and the 6 pairs among the hidden ones.
    codes = np.sum(2**visible, axis=1)
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 70
    score = numpy_masks.score_of_frequencies(counts, np.full(70, 1 / 70))
    assert score < 4
    hidden = ~numpy_masks.from_indices(visible, 8)
    ranks = np.cumsum(hidden, axis=1) - 1
    ranks = np.take_along_axis(ranks, predict, axis=1)
    _, counts = np.unique(np.sum(2**ranks, axis=1), return_counts=True)
    assert len(counts) == 6
    score = numpy_masks.score_of_frequencies(counts, np.full(6, 1 / 6))
    assert score < 4


def test_no_patch_is_visible():
    arguments = {"mask_ratio": 0.9, "prediction_ratio": 1.0}
    with pytest.raises(ValueError, match="No patch is visible.*ratio=0.9"):
        RandomMasking((2, 4), round_visible=True, **arguments)
    # Otherwise the number of hidden ones is rounded down.
    assert RandomMasking((2, 4), **arguments).count_patches((2, 4)) == (1, 7)
