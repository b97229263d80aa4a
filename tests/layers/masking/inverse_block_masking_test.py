import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from ops import numpy_masks

from keras_capi.layers import InverseBlockMasking

IMAGES = np.zeros((8, 8, 12, 3), "float32")

CASES = {
    "defaults": battery.Case(
        InverseBlockMasking,
        {"grid_size": (14, 14), "seed": 1},
        (IMAGES,),
        {
            "visible_indices": battery.Output((8, 69), "int32"),
            "predict_indices": battery.Output((8, 6), "int32"),
        },
        is_random=True,
        symbolic_shapes=((None, None, 3),),
    ),
    "all_arguments": battery.Case(
        InverseBlockMasking,
        {
            "grid_size": (4, 5),
            "mask_ratio": 0.64,
            "prediction_ratio": 0.5,
            "seed": 2,
            "min_aspect_ratio": 0.4,
            "max_aspect_ratio": 3.0,
            "roll": False,
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


@pytest.mark.parametrize("roll", [True, False])
def test_visible_blocks_are_distributed_as_published(roll):
    # 20 patches, 7 of them in the block.
    masking = InverseBlockMasking((4, 5), 0.65, 0.25, roll=roll, seed=0)
    run = compile_layer(masking, FASTEST)
    outputs = run(np.zeros((20000, 1), "float32"))
    visible = to_numpy(outputs["visible_indices"])
    masks = numpy_masks.from_indices(visible, 20)
    expected = numpy_masks.sample_blocks(10000, 1, 7, (4, 5), roll=roll)
    assert numpy_masks.score_of_difference(masks, expected) < 4
    # In the order of the image.
    assert (np.diff(visible, axis=1) > 0).all()


def test_aspect_ratios_are_those_of_the_arguments():
    # Blocks of 7 x 2 cells with room for 12 patches: the last row is empty.
    masking = InverseBlockMasking((12, 12), 11 / 12, 0.1, 3.0, 4.0, roll=False)
    outputs = compile_layer(masking, FASTEST)(np.zeros((200, 1)))
    masks = numpy_masks.from_indices(to_numpy(outputs["visible_indices"]), 144)
    sides = numpy_masks.sides(masks, (12, 12))
    assert (masks.sum(axis=1) == 12).all()
    assert (sides == [6, 2]).all()
