import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from ops import numpy_blockwise
from ops import numpy_masks

from keras_capi.layers import BlockwiseMasking
from keras_capi.layers import StratifiedMasking

CASES = {
    "all_arguments": battery.Case(
        BlockwiseMasking,
        {
            "grid_size": (4, 5),
            "mask_ratio": ((0.2, 0.3), (0.5, 0.8)),
            "min_area": 2,
            "max_area": 6,
            "min_aspect_ratio": 0.4,
            "max_aspect_ratio": 3.0,
            "num_attempts": 5,
            "seed": 2,
        },
        (np.zeros((8,), "float32"),),
        {"mask": battery.Output((8, 20), "bool")},
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def draw(masking, count, compilation=FASTEST):
    run = compile_layer(masking, compilation)
    return to_numpy(run(np.zeros((count, 1), "float32"))["mask"])


# Of grids so small that the outcomes can be counted.
@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        ({"mask_ratio": 7 / 12}, (7, (3, 4), 1)),
        ({"mask_ratio": 0.5, "min_area": 3}, (6, (3, 4), 3)),
        ({"mask_ratio": 0.7, "max_area": 3}, (8.4, (3, 4), 1, 3)),
        (
            {
                "mask_ratio": 0.5,
                "min_aspect_ratio": 0.2,
                "max_aspect_ratio": 0.6,
                "num_attempts": 2,
            },
            (6, (3, 4), 1, 12, (0.2, 0.6), 2),
        ),
    ],
)
def test_masks_are_distributed_as_published(arguments, published):
    masks = draw(BlockwiseMasking((3, 4), **arguments, seed=0), 20000)
    expected = numpy_blockwise.sample_many(4000, *published)
    assert masks.sum(axis=1).max() == int(published[0])
    assert numpy_masks.score_of_difference(masks, expected) < 4


def test_the_smallest_block_suits_the_grid():
    # The square of a third of the shorter side, as in iBOT.
    ours, same, other = (
        draw(BlockwiseMasking((9, 7), 0.5, min_area, seed=0), 64)
        for min_area in (None, 4, 9)
    )
    np.testing.assert_array_equal(ours, same)
    assert (ours != other).any()


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_each_image_has_its_own_share(compilation):
    ratios = ((0.0, 0.0), (0.3, 0.3), (0.5, 0.7))
    masks = draw(BlockwiseMasking((6, 8), ratios, seed=1), 600, compilation)
    counts = masks.sum(axis=1)
    assert counts.max() <= 33
    empty, third = (counts == 0).mean(), (counts == 14).mean()
    assert abs(empty - 1 / 3) < 0.08
    assert 0.15 < third < 0.4
    assert len(set(counts[counts > 20])) > 6


def test_all_blocks_are_drawn():
    # One patch at a time, until all but one are hidden.
    masking = BlockwiseMasking((6, 6), 35 / 36, 1, 1, num_attempts=50, seed=0)
    assert draw(masking, 64).sum(axis=1).mean() > 33


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_ratio": 1.0}, r"`mask_ratio` must be in \[0, 1\)"),
        ({"mask_ratio": ()}, r"sequence of pairs `\(low, high\)`"),
        ({"mask_ratio": (0.1, 0.5)}, r"sequence of pairs `\(low, high\)`"),
        ({"mask_ratio": ((0.5, 0.1),)}, "must have `low <= high`"),
        ({"mask_ratio": ((0.5, 1.0),)}, r"`mask_ratio` must be in \[0, 1\)"),
        ({"min_area": 0}, "`min_area` must be a positive integer or None"),
        ({"max_area": 2.5}, "`max_area` must be a positive integer or None"),
        ({"num_attempts": 0}, "`num_attempts` must be a positive integer"),
        ({"min_aspect_ratio": 2.0}, "must not be below `min_aspect_ratio`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        BlockwiseMasking(**arguments)


@pytest.mark.parametrize("masking", [BlockwiseMasking, StratifiedMasking])
@pytest.mark.parametrize(
    ("grid_size", "arguments", "message"),
    [
        ((1, 9), {}, "two rows and columns.*1, 9"),
        ((9, 1), {}, "two rows and columns.*9, 1"),
        ((3, 4), {"min_area": 13}, "`min_area` must not exceed.*min_area=13"),
    ],
)
def test_grids_in_which_nothing_could_be_hidden(
    masking, grid_size, arguments, message
):
    with pytest.raises(ValueError, match=message):
        masking(grid_size, **arguments)
    with pytest.raises(ValueError, match=message):
        masking(**arguments)(np.zeros((2,)), grid_size=grid_size)
