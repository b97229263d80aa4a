import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery

from keras_capi.layers import MultiBlockMasking

IMAGES = np.zeros((8, 8, 12, 3), "float32")

CASES = {
    "all_arguments": battery.Case(
        MultiBlockMasking,
        {
            "grid_size": (6, 7),
            "num_blocks": 3,
            "block_scale": (0.1, 0.2),
            "block_aspect_ratio": (0.5, 2.0),
            "num_contexts": 2,
            "context_scale": (0.7, 0.9),
            "min_visible": 3,
            "max_visible": 20,
            "allow_overlap": True,
            "seed": 2,
        },
        (IMAGES[:, 0, 0, 0],),
        {
            "visible_indices": battery.Output((8, 2, 20), "int32"),
            "visible_mask": battery.Output((8, 2, 20), "bool"),
            "predict_indices": battery.Output((8, 3, 8), "int32"),
            "predict_mask": battery.Output((8, 3, 8), "bool"),
        },
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def draw(masking, count=8, grid_size=None):
    """Boolean masks of contexts and of blocks."""
    run = compile_layer(masking, FASTEST, grid_size=grid_size)
    outputs = {
        name: to_numpy(value)
        for name, value in run(np.zeros((count, 1), "float32")).items()
    }
    rows, columns = grid_size
    masks = []
    for kind in ("visible", "predict"):
        indices = outputs[f"{kind}_indices"]
        counts = outputs[f"{kind}_mask"]
        assert 0 <= indices.min() and indices.max() < rows * columns
        # All of a batch have as many, ascending, and the padding behind them.
        number = counts.sum(axis=-1)
        assert (number == number.flat[0]).all() and number.min() > 0
        assert (np.diff(counts.astype(int), axis=-1) <= 0).all()
        ascending = np.diff(indices, axis=-1) > 0
        assert (ascending | ~counts[..., 1:]).all()
        mask = np.zeros((*indices.shape[:2], rows * columns + 1), bool)
        places = np.where(counts, indices, rows * columns).astype("int64")
        np.put_along_axis(mask, places, True, axis=-1)
        masks.append(mask[..., :-1])
    return masks


@pytest.mark.parametrize("grid_size", [(14, 14), (10, 14), (5, 4), (2, 2)])
def test_contexts_and_blocks(grid_size):
    masking = MultiBlockMasking(seed=0)
    contexts, blocks = draw(masking, grid_size=grid_size)
    shaped = blocks.reshape(-1, *grid_size)
    # One size, and nothing in the last row and column.
    heights, widths = (shaped.any(axis=axis).sum(axis=1) for axis in (2, 1))
    assert len(set(heights)) == len(set(widths)) == 1
    assert (heights * widths == shaped.sum(axis=(1, 2))).all()
    for masks in (shaped, contexts.reshape(-1, *grid_size)):
        assert not masks[:, -1].any() and not masks[:, :, -1].any()
    if min(grid_size) > 5:
        assert not (contexts & blocks.any(axis=1, keepdims=True)).any()
        assert contexts.sum(axis=-1).min() > 10


def test_too_small_contexts_ignore_blocks():
    """No corner leaves so many patches beside a single block."""
    masking = MultiBlockMasking(min_visible=23, seed=0)
    contexts, blocks = draw(masking, grid_size=(6, 6))
    assert (contexts.sum(axis=-1) == 25).all()
    assert (contexts & blocks.any(axis=1, keepdims=True)).any()
    # Beside the first block there are enough, but not beside two.
    masking = MultiBlockMasking(min_visible=18, num_blocks=2, seed=0)
    contexts, blocks = draw(masking, 64, grid_size=(6, 6))
    assert not (contexts & blocks[:, :1]).any()
    assert (contexts & blocks[:, 1:]).any()


def test_overlap_is_allowed():
    masking = MultiBlockMasking(allow_overlap=True, seed=0)
    contexts, _ = draw(masking, grid_size=(14, 14))
    assert (contexts.sum(axis=-1) == 169).all()


def test_cut_to_the_smallest_or_to_fewer():
    masking = MultiBlockMasking(seed=0)
    assert masking.count_patches((14, 14)) == (139, 40)
    one = np.concatenate([draw(masking, 1, (14, 14))[0] for _ in range(8)])
    many, _ = draw(masking, 64, grid_size=(14, 14))
    assert many.sum(axis=-1).max() < one.sum(axis=-1).mean()
    short = MultiBlockMasking(max_visible=20, seed=0)
    contexts, _ = draw(short, grid_size=(14, 14))
    assert short.count_patches((14, 14))[0] == 20
    assert (contexts.sum(axis=-1) == 20).all()


def test_several_contexts_have_corners_of_their_own():
    masking = MultiBlockMasking(
        num_contexts=2, context_scale=(0.3, 0.3), allow_overlap=True, seed=0
    )
    contexts, _ = draw(masking, grid_size=(12, 12))
    assert contexts.shape[1] == 2
    assert (contexts[:, 0] != contexts[:, 1]).any()


def test_sizes_vary_from_batch_to_batch():
    masking = MultiBlockMasking(seed=0)
    run = compile_layer(masking, FASTEST, grid_size=(14, 14))
    counts = {
        int(to_numpy(run(np.zeros((2, 1)))["predict_mask"])[0, 0].sum())
        for _ in range(12)
    }
    assert len(counts) > 2
    assert counts <= {30, 36, 40, 35, 42}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"grid_size": (1, 4)}, "two rows and columns.*grid_size=\\(1, 4\\)"),
        ({"num_blocks": 0}, "`num_blocks` must be a positive"),
        ({"num_contexts": 0}, "`num_contexts` must be a positive"),
        ({"block_scale": (0.2, 0.1)}, "`block_scale` must be two numbers"),
        ({"context_scale": (0.5, 1.5)}, "high <= 1"),
        ({"block_aspect_ratio": 1.0}, "`block_aspect_ratio` must be two"),
        ({"min_visible": -1}, "`min_visible` must be 0 or"),
        ({"max_visible": 0}, "`max_visible` must be a positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiBlockMasking(**arguments)
