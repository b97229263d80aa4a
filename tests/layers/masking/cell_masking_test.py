import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery

from keras_capi.layers import CellMasking

IMAGES = np.zeros((8, 8, 12, 3), "float32")

CASES = {
    "defaults": battery.Case(
        CellMasking,
        {"grid_size": (14, 14), "seed": 1},
        (IMAGES,),
        {"mask": battery.Output((8, 196), "bool")},
        is_random=True,
        symbolic_shapes=((None, None, 3),),
    ),
    "all_arguments": battery.Case(
        CellMasking,
        {"grid_size": (6, 9), "mask_ratio": 0.3, "cell_size": 3, "seed": 2},
        (IMAGES[:, 0, 0, 0],),
        {"mask": battery.Output((8, 54), "bool")},
        is_random=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


@pytest.mark.parametrize(
    ("grid_size", "ratio", "cell_size", "hidden"),
    # The authors' counts: 30 of 49 cells, 22 of 36, 75 of 100.
    [
        ((14, 14), 0.6, 2, 30),
        ((48, 48), 0.6, 8, 22),
        ((10, 10), 0.75, 1, 75),
        ((2, 4), 0.6, 2, 2),
    ],
)
def test_counts(grid_size, ratio, cell_size, hidden):
    masking = CellMasking(None, ratio, cell_size, seed=0)
    masks = to_numpy(masking(IMAGES, grid_size=grid_size)["mask"])
    assert (masks.sum(axis=1) == hidden * cell_size**2).all()


def test_cells_are_hidden_as_a_whole():
    masking = CellMasking((6, 9), 0.5, 3, seed=0)
    masks = to_numpy(masking(IMAGES)["mask"]).reshape(8, 2, 3, 3, 3)
    assert (masks == masks[:, :, :1, :, :1]).all()
    assert (masks[:, :, 0, :, 0].sum(axis=(1, 2)) == 3).all()


def test_all_sets_of_cells_are_equally_likely():
    # 2 of 4 cells: 6 masks.
    run = compile_layer(CellMasking((4, 4), 0.5, seed=0), FASTEST)
    masks = to_numpy(run(np.zeros((6000, 1), "float32"))["mask"])
    _, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CellMasking((14, 15)), "`cell_size` must divide.*=2.*14, 15"),
        (lambda: CellMasking(mask_ratio=1.0), "`mask_ratio`.*=1.0"),
        (lambda: CellMasking(cell_size=0), "`cell_size`.*=0"),
        (lambda: CellMasking()(IMAGES), "`grid_size` must be given"),
        (lambda: CellMasking()(IMAGES, grid_size=(3, 4)), "must divide"),
        (
            lambda: CellMasking((4, 4))(IMAGES, grid_size=(4, 6)),
            "another grid of patches.*4, 6",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
