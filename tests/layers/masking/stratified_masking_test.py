import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from ops import numpy_blockwise
from ops import numpy_masks

from keras_capi.layers import StratifiedMasking

CASE = battery.Case(
    StratifiedMasking,
    {
        "grid_size": (4, 5),
        "mask_ratio": (0.2, 0.8),
        "masked_share": 0.75,
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
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def draw(masking, count, compilation=FASTEST):
    run = compile_layer(masking, compilation)
    return to_numpy(run(np.zeros((count, 1), "float32"))["mask"])


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_half_of_a_batch_has_masks_of_all_sizes(compilation):
    masks = draw(StratifiedMasking((8, 8), seed=0), 40, compilation)
    counts = np.sort(masks.sum(axis=1))
    assert not counts[:20].any() and counts[20:].all()
    # Each from another twentieth of the range; a few blocks do not fit.
    ends = (np.linspace(0.1, 0.5, 21) * 64).astype(int)
    assert (counts[20:] <= ends[1:]).all()
    assert (counts[20:] >= ends[:-1] - 2).all()
    # Not always the same images.
    assert 3 < (masks.any(axis=1)[:20]).sum() < 17


def test_blocks_are_as_published():
    # All of one size, so that masks can be compared with a sampler's.
    masking = StratifiedMasking((3, 4), (0.5, 0.5), 1.0, min_area=1, seed=0)
    masks = draw(masking, 20000)
    expected = numpy_blockwise.sample_many(4000, 6, (3, 4), 1, 6)
    assert masks.sum(axis=1).max() == 6
    assert numpy_masks.score_of_difference(masks, expected) < 4


def test_how_many_are_hidden_at_most():
    masking = StratifiedMasking((14, 14), seed=1)
    bound = masking.count_hidden_in_batch(40, (14, 14))
    assert bound == sum(int(end * 196) for end in np.linspace(0.1, 0.5, 21)[1:])
    hidden = draw(masking, 40).sum()
    assert 0.9 * bound < hidden <= bound
    # Without masks there still is something to score.
    masking = StratifiedMasking((4, 4), masked_share=0.0)
    assert masking.count_hidden_in_batch(4, (4, 4)) == 1
    assert not draw(masking, 6).any()


@pytest.mark.parametrize(
    ("num_patches", "batch_size", "bound"),
    [(6, 24, 17), (10, 12, 17), (10, 24, 33), (12, 48, 78), (20, 12, 37)],
)
def test_bounds_are_rounded_as_by_the_authors(num_patches, batch_size, bound):
    """The bounds are of their `collate_data_and_cast`."""
    count = StratifiedMasking().count_hidden_in_batch
    assert count(batch_size, (2, num_patches // 2)) == bound


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_ratio": 0.5}, r"`mask_ratio` must be a pair `\(low, high\)`"),
        ({"mask_ratio": (0.5, 0.1)}, "must have `low <= high`"),
        ({"masked_share": 1.5}, r"`masked_share` must be in \[0, 1\]"),
        ({"min_area": 0}, "`min_area` must be a positive integer or None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        StratifiedMasking(**arguments)
