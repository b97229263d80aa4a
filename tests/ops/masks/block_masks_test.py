import math

import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import FASTEST
from backend_helpers import compile_function
from helpers import to_numpy
from keras import ops
from ops import numpy_masks

from keras_capi.ops import block_sizes
from keras_capi.ops import sample_blocks
from keras_capi.ops import select_patches
from keras_capi.ops import split_at_random
from keras_capi.ops.masks import block_masks

# Samples of the implementation, and of the slower NumPy loop.
COUNT = 40000
NUMPY_COUNT = 10000
# Standard scores that a right sampler exceeds once in 30 000 seeds.
LIMIT = 4.0

GRIDS = {
    # Few masks are possible: each of them is an outcome.
    "small": ((4, 5), 7, 0.5, 2.0),
    # CAPI's visible block.
    "published": ((14, 14), 69, 0.5, 2.0),
    # Bounds of the aspect ratio narrowed by the grid on both sides.
    "large_block": ((8, 8), 41, 0.5, 2.0),
    "landscape": ((6, 10), 20, 0.25, 4.0),
    "portrait": ((9, 5), 13, 0.4, 1.5),
}


def draw_blocks(grid, roll, count=COUNT, compilation=FASTEST):
    grid_size, area, low, high = GRIDS[grid]
    uniform = np.random.default_rng(1).random((count, 5), dtype="float32")
    run = compile_function(
        lambda numbers: sample_blocks(
            numbers, area, grid_size, low, high, roll
        ),
        compilation,
    )
    return to_numpy(run(uniform))


def draw_numpy_blocks(grid, roll):
    grid_size, area, low, high = GRIDS[grid]
    return numpy_masks.sample_blocks(
        NUMPY_COUNT, 2, area, grid_size, low, high, roll
    )


def test_numbers_of_numpy_serve_on_every_backend():
    uniform = np.random.default_rng(0).random((3, 5), dtype="float32")
    masks = to_numpy(sample_blocks(uniform, 7, (4, 5)))
    again = to_numpy(sample_blocks(ops.convert_to_tensor(uniform), 7, (4, 5)))
    np.testing.assert_array_equal(masks, again)


@pytest.mark.parametrize("grid", GRIDS)
def test_blocks_are_distributed_as_published(grid):
    grid_size, area, _, _ = GRIDS[grid]
    masks = draw_blocks(grid, roll=False)
    expected = draw_numpy_blocks(grid, roll=False)
    assert (masks.sum(axis=1) == area).all()
    # How often each patch is in the block.
    frequencies, other = masks.mean(axis=0), expected.mean(axis=0)
    variance = other * (1 - other) * (1 / COUNT + 1 / NUMPY_COUNT)
    scores = np.abs(frequencies - other) / np.sqrt(variance + 1e-12)
    assert scores.max() < 4.5
    # Heights together with widths: the aspect ratios.
    sizes, other = (numpy_masks.sides(m, grid_size) for m in (masks, expected))
    assert numpy_masks.score_of_difference(sizes, other) < LIMIT
    # Where blocks of each size lie: whole masks.
    assert numpy_masks.score_of_difference(masks, expected) < LIMIT


@pytest.mark.parametrize("grid", ["small", "published", "landscape"])
def test_rolled_blocks_are_distributed_as_published(grid):
    grid_size, area, _, _ = GRIDS[grid]
    masks = draw_blocks(grid, roll=True)
    assert (masks.sum(axis=1) == area).all()
    # All patches are equally likely.
    share = area / masks.shape[1]
    scores = (masks.mean(axis=0) - share) / math.sqrt(
        share * (1 - share) / COUNT
    )
    assert np.abs(scores).max() < 4.5
    # All offsets are: the patch above which, and left of which, none is.
    squares = masks.reshape(-1, *grid_size)
    for axis in (1, 2):
        lines = squares.any(axis=3 - axis)
        starts = lines & ~np.roll(lines, 1, axis=1)
        starts = starts[starts.sum(axis=1) == 1]
        size = grid_size[axis - 1]
        score = numpy_masks.score_of_frequencies(
            starts.sum(axis=0), np.full(size, 1 / size)
        )
        assert score < LIMIT
    sizes, other = (
        numpy_masks.sides(m, grid_size)
        for m in (masks, draw_numpy_blocks(grid, roll=True))
    )
    assert numpy_masks.score_of_difference(sizes, other) < LIMIT


def test_rolled_masks_one_by_one():
    masks = draw_blocks("small", roll=True)
    expected = draw_numpy_blocks("small", roll=True)
    assert numpy_masks.score_of_difference(masks, expected) < LIMIT


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_compiled_blocks_are_the_same(compilation):
    masks = draw_blocks("landscape", True, 2000, compilation)
    expected = draw_blocks("landscape", True, 2000, "eager")
    # Compilers may round an aspect ratio at the edge between two sizes.
    assert (masks != expected).any(axis=1).sum() <= 2


def test_rolled_block_is_the_block_moved():
    generator = np.random.default_rng(0)
    uniform = generator.random((200, 5), dtype="float32")
    arguments = (20, (6, 10), 0.25, 4.0)
    numbers = ops.convert_to_tensor(uniform)
    plain = to_numpy(sample_blocks(numbers, *arguments, roll=False))
    rolled = to_numpy(sample_blocks(numbers, *arguments, roll=True))
    for index, (_, _, _, rows, columns) in enumerate(uniform):
        moved = np.roll(
            plain[index].reshape(6, 10),
            (int(rows * 6), int(columns * 10)),
            axis=(0, 1),
        )
        np.testing.assert_array_equal(rolled[index].reshape(6, 10), moved)


SIZES = [
    ((14, 14), 69, 0.5, 2.0),
    ((8, 8), 41, 0.5, 2.0),
    ((1, 24), 9, 0.5, 2.0),
    ((24, 1), 9, 0.5, 2.0),
    ((1, 1), 1, 0.5, 2.0),
    ((3, 50), 60, 0.5, 2.0),
    ((50, 3), 149, 1e-3, 1e3),
    ((5, 5), 25, 0.5, 2.0),
    ((5, 5), 24, 0.9, 0.95),
    ((16, 16), 1, 0.01, 100.0),
]


@pytest.mark.parametrize(("grid_size", "area", "low", "high"), SIZES)
def test_blocks_always_have_room_and_fit(grid_size, area, low, high):
    uniform = np.random.default_rng(0).random((400, 5), dtype="float32")
    # The ends of the range too.
    uniform[0], uniform[1] = 0.0, np.nextafter(np.float32(1), np.float32(0))

    def run(numbers):
        return (
            *block_sizes(numbers[:, 0], area, grid_size, low, high),
            sample_blocks(numbers, area, grid_size, low, high),
        )

    heights, widths, masks = map(
        to_numpy, compile_function(run, FASTEST)(uniform)
    )
    assert heights.min() >= 1 and heights.max() <= grid_size[0]
    assert widths.min() >= 1 and widths.max() <= grid_size[1]
    assert (heights * widths >= area).all()
    # As small as the published ceilings make them: no empty row.
    assert masks.shape == (400, grid_size[0] * grid_size[1])
    assert (masks.sum(axis=1) == area).all()


def test_sizes_follow_the_formula():
    uniform = np.linspace(0.001, 0.999, 501, dtype="float32")
    heights, widths = map(to_numpy, block_sizes(uniform, 69, (14, 14)))
    aspect = np.exp(np.log(0.5) + uniform * np.log(4.0))
    expected = np.ceil(np.sqrt(69 * aspect)), np.ceil(np.sqrt(69 / aspect))
    # One of 501 aspect ratios may lie on the edge between two sizes.
    assert (heights != expected[0]).sum() <= 1
    assert (widths != expected[1]).sum() <= 1
    assert heights.dtype == widths.dtype == np.int32
    # Wide for small aspect ratios, high for large ones.
    assert (heights[0], widths[0]) == (6, 12)
    assert (heights[-1], widths[-1]) == (12, 6)


def test_uniform_integers():
    uniform = np.arange(1000, dtype="float32") / 1000
    uniform[-1] = np.nextafter(np.float32(1), np.float32(0))
    tensor = ops.convert_to_tensor(uniform)
    for count in (1, 3, 7):
        integers = to_numpy(block_masks.uniform_integers(tensor, count))
        frequencies = np.bincount(integers)
        assert len(frequencies) == count
        assert np.ptp(frequencies) <= 1
    # Rounded up to the count otherwise.
    counts = ops.convert_to_tensor(np.array([1, 2**24], "int32"))
    integers = block_masks.uniform_integers(tensor[-1:], counts)
    assert to_numpy(integers)[0] == 0 and to_numpy(integers)[1] < 2**24


def test_selects_visible_patches_in_order_and_predicts_others():
    generator = np.random.default_rng(0)
    is_visible = generator.permuted(
        np.tile(np.arange(20) < 7, (4000, 1)), axis=1
    )
    scores = generator.random((4000, 20), dtype="float32")
    visible, predict = map(to_numpy, select_patches(is_visible, scores, 7, 4))
    assert visible.dtype == predict.dtype == np.int32
    np.testing.assert_array_equal(
        visible, np.nonzero(is_visible)[1].reshape(-1, 7)
    )
    # The hidden patches with the highest scores.
    hidden_scores = np.where(is_visible, -1, scores)
    np.testing.assert_array_equal(
        predict, np.argsort(-hidden_scores, axis=1)[:, :4]
    )
    # Uniform among the hidden patches, at each place in the list.
    ranks = np.cumsum(~is_visible, axis=1) - 1
    ranks = np.take_along_axis(ranks, predict, axis=1)
    for place in range(4):
        counts = np.bincount(ranks[:, place], minlength=13)
        score = numpy_masks.score_of_frequencies(counts, np.full(13, 1 / 13))
        assert score < LIMIT


def test_zero_scores_never_pick_a_visible_patch():
    is_visible = np.arange(6)[None] < 4
    _, predict = select_patches(is_visible, np.zeros((1, 6), "float32"), 4, 2)
    assert set(to_numpy(predict)[0]) == {4, 5}


def test_splits_at_random():
    scores = np.random.default_rng(0).random((6000, 6), dtype="float32")
    visible, predict = map(to_numpy, split_at_random(scores, 2, 3))
    assert visible.dtype == predict.dtype == np.int32
    picked = np.concatenate([visible, predict], axis=1)
    assert picked.shape == (6000, 5)
    assert all(len(set(row)) == 5 for row in picked.tolist())
    for place in range(5):
        counts = np.bincount(picked[:, place], minlength=6)
        score = numpy_masks.score_of_frequencies(counts, np.full(6, 1 / 6))
        assert score < LIMIT
