import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import RandomRegions
from tests.layers import battery

IMAGES = make_images(3, 16, 24)

CASE = battery.Case(
    layer_class=RandomRegions,
    arguments={
        "cell_size": 5.0,
        "threshold": 0.3,
        "tolerance": 0.1,
        "mean": (0.4,) * 3,
        "std": (0.2,) * 3,
        "seed": 4,
    },
    inputs=(IMAGES,),
    outputs={
        "corrupted_images": battery.Output(IMAGES.shape),
        "mask": battery.Output(IMAGES.shape, "bool"),
    },
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_one_mask_of_the_published_size(size):
    layer = RandomRegions(seed=0)
    images = make_images(2, *size)
    masks = [to_numpy(layer(images)["mask"]) for _ in range(10)]
    for mask in masks:
        # The same in all images of the batch, and in all channels.
        np.testing.assert_array_equal(
            mask, np.broadcast_to(mask[:1, ..., :1], mask.shape)
        )
        assert 0.2 < mask.mean() < 0.3
    masks = np.stack(masks)
    assert (masks[1:] != masks[:-1]).any(axis=(1, 2, 3, 4)).all()
    assert layer.judged_window(size) == (0, 0, *size)


def test_blobs_are_as_large_as_cells():
    """Neighbours are mostly alike, pixels a few cells away are not."""
    masks = to_numpy(RandomRegions(seed=0).draw_masks((64, 64)))
    share = masks.mean()
    assert 0.15 < share < 0.25

    def correlation(distance):
        both = (masks[:, :, distance:] & masks[:, :, :-distance]).mean()
        return (both - share**2) / (share - share**2)

    assert correlation(1) > 0.8
    assert 0.15 < correlation(10) < 0.6
    assert abs(correlation(45)) < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell_size": 0.5}, r"`cell_size` must be in \[1, inf\)"),
        ({"threshold": 1.0}, r"`threshold` must be in \(0, 1\)"),
        ({"tolerance": 0.0}, r"`tolerance` must be in \(0, 1\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomRegions(**arguments)


def test_too_small_images():
    with pytest.raises(ValueError, match="must allow a number.*1 x 2 pixels"):
        RandomRegions()(np.zeros((2, 1, 2, 3), "float32"))
