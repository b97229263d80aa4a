"""What all maskings share: counts, validation, randomness."""

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from keras import ops
from ops import numpy_masks

from keras_capi.layers import BlockMasking
from keras_capi.layers import InverseBlockMasking
from keras_capi.layers import RandomMasking

# One size for most tests: JAX compiles each operation for each shape.
GRID = (4, 5)
IMAGES = np.zeros((8, 1), "float32")

MASKINGS = [RandomMasking, BlockMasking, InverseBlockMasking]
BLOCKS = MASKINGS[1:]

# Grid, mask ratio, prediction ratio. `ops/masks/block_masks_test.py` has more.
COUNTS = [
    ((14, 14), 0.65, 0.05),
    ((5, 19), 0.95, 1.0),
    ((24, 1), 0.4, 0.3),
    ((1, 2), 0.5, 1.0),
]


@pytest.mark.parametrize("masking_class", MASKINGS)
@pytest.mark.parametrize(("grid_size", "mask", "prediction"), COUNTS)
def test_counts(masking_class, grid_size, mask, prediction):
    masking = masking_class(grid_size, mask, prediction, seed=0)
    outputs = compile_layer(masking, FASTEST)(np.zeros((64, 1), "float32"))
    numpy_masks.check_indices(
        {name: to_numpy(value) for name, value in outputs.items()},
        masking,
        grid_size,
    )


@pytest.mark.parametrize("masking_class", BLOCKS)
@pytest.mark.parametrize("bounds", [(0.01, 100.0), (0.05, 0.06), (1.0, 1.0)])
def test_counts_with_other_aspect_ratios(masking_class, bounds):
    masking = masking_class((9, 12), 0.6, 0.1, *bounds, seed=0)
    outputs = compile_layer(masking, FASTEST)(np.zeros((256, 1), "float32"))
    numpy_masks.check_indices(
        {name: to_numpy(value) for name, value in outputs.items()},
        masking,
        (9, 12),
    )


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("masking_class", MASKINGS)
def test_compiled_calls_draw_anew(masking_class, compilation):
    masking = masking_class(GRID, prediction_ratio=0.5, seed=0)
    run = compile_layer(masking, compilation)
    draws = []
    for _ in range(3):
        outputs = {k: to_numpy(v) for k, v in run(IMAGES).items()}
        numpy_masks.check_indices(outputs, masking, GRID)
        draws.append(outputs["visible_indices"])
    # Neither the calls nor the images of a batch share their masks.
    assert len(np.unique(np.sort(np.concatenate(draws)), axis=0)) > 12


@pytest.mark.parametrize("masking_class", MASKINGS)
def test_one_random_draw_for_all_images(masking_class, monkeypatch):
    masking = masking_class(GRID, prediction_ratio=0.5, seed=0)
    calls = []
    draw = keras.random.SeedGenerator.next
    monkeypatch.setattr(
        keras.random.SeedGenerator,
        "next",
        lambda *args, **kwargs: calls.append(1) or draw(*args, **kwargs),
    )
    masking(IMAGES)
    assert sum(calls) == 1


@pytest.mark.parametrize("masking_class", MASKINGS)
def test_seed_fixes_the_sequence(masking_class):
    def draw(masking):
        return to_numpy(masking(IMAGES)["visible_indices"])

    first, second, other = (
        masking_class(GRID, prediction_ratio=0.5, seed=seed)
        for seed in (1, 1, 99)
    )
    draws = [draw(first) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draw(second))
    np.testing.assert_array_equal(draws[1], draw(second))
    assert (draws[0] != draws[1]).any()
    assert (draws[0] != draw(other)).any()


def test_takes_any_tensor_whose_first_axis_is_the_batch():
    for inputs in (
        np.zeros((8,), "float32"),
        np.zeros((8, 16, 16, 3), "float16"),
        np.zeros((8, 2), "int32"),
    ):
        outputs = RandomMasking(GRID, prediction_ratio=0.5)(inputs)
        assert tuple(outputs["visible_indices"].shape) == (8, 7)


def test_grid_size_of_the_call():
    masking = InverseBlockMasking(prediction_ratio=0.5)
    for grid_size in (GRID, (5, 3)):
        run = compile_layer(masking, FASTEST, grid_size=grid_size)
        outputs = {k: to_numpy(v) for k, v in run(IMAGES).items()}
        numpy_masks.check_indices(outputs, masking, grid_size)
    fixed = InverseBlockMasking(GRID, prediction_ratio=0.5)
    assert fixed(IMAGES, grid_size=[4, 5])["visible_indices"].shape[1] == 7
    message = r"made for another grid.*grid_size=\(5, 3\), expected \(4, 5\)"
    with pytest.raises(ValueError, match=message):
        fixed(IMAGES, grid_size=(5, 3))
    with pytest.raises(ValueError, match="must be given.*grid_size=None"):
        masking(IMAGES)


def test_prediction_positions_are_independent_of_the_block():
    masking = InverseBlockMasking((4, 5), 0.6, 0.25, seed=3)
    run = compile_layer(masking, FASTEST)
    outputs = run(np.zeros((20000, 1), "float32"))
    visible = numpy_masks.from_indices(to_numpy(outputs["visible_indices"]), 20)
    predict = to_numpy(outputs["predict_indices"])
    assert predict.shape == (20000, 3)
    ranks = np.cumsum(~visible, axis=1) - 1
    ranks = np.take_along_axis(ranks, predict, axis=1)
    # Where the block begins tells nothing about them, neither do its sides.
    for group in (
        np.ones(20000, bool),
        visible[:, 0],
        numpy_masks.sides(visible, (4, 5))[:, 0] <= 2,
    ):
        for place in range(3):
            counts = np.bincount(ranks[group, place], minlength=12)
            assert (
                numpy_masks.score_of_frequencies(counts, np.full(12, 1 / 12))
                < 4
            )


@pytest.mark.parametrize("masking_class", MASKINGS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_ratio": 0.0}, r"`mask_ratio` must be in \(0, 1\).*ratio=0.0"),
        ({"mask_ratio": 1.0}, r"`mask_ratio` must be in \(0, 1\).*ratio=1.0"),
        (
            {"prediction_ratio": 0.0},
            r"`prediction_ratio` must be in \(0, 1\].*prediction_ratio=0.0",
        ),
        (
            {"prediction_ratio": 1.1},
            r"`prediction_ratio` must be in \(0, 1\].*prediction_ratio=1.1",
        ),
        ({"grid_size": (4,)}, r"`grid_size` must be two integers.*\(4,\)"),
        ({"grid_size": (4, 4, 3)}, r"`grid_size` must be two.*\(4, 4, 3\)"),
        ({"grid_size": (0, 4)}, "`grid_size` must be a positive.*grid_size=0"),
        ({"grid_size": (4, 2.5)}, "`grid_size` must be a pos.*grid_size=2.5"),
        ({"grid_size": 14}, "`grid_size` must be two integers.*grid_size=14"),
        (
            {"grid_size": (2, 3)},
            r"No patch is left to predict.*\(2, 3\), mask_ratio=0.65, "
            "prediction_ratio=0.05",
        ),
        ({"grid_size": (1, 1), "prediction_ratio": 1.0}, "No patch is left"),
    ],
)
def test_bad_arguments(masking_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        masking_class(**arguments)


def test_no_patch_left_to_predict_in_a_call():
    with pytest.raises(ValueError, match=r"No patch is left.*\(2, 3\)"):
        RandomMasking()(ops.zeros((2,)), grid_size=(2, 3))


@pytest.mark.parametrize("masking_class", BLOCKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"min_aspect_ratio": 0.0},
            "`min_aspect_ratio` must be a positive.*min_aspect_ratio=0.0",
        ),
        (
            {"min_aspect_ratio": 2.0},
            "`max_aspect_ratio` must not be below.*min_aspect_ratio=2.0, "
            "max_aspect_ratio=0.5",
        ),
        (
            {"min_aspect_ratio": 0.5, "max_aspect_ratio": 0.4},
            "`max_aspect_ratio` must not be below.*max_aspect_ratio=0.4",
        ),
    ],
)
def test_bad_aspect_ratios(masking_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        masking_class(**arguments)
