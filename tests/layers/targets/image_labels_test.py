import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import ImageLabels

INDICES = np.array([[2, 0], [1, 1]], "int32")
CASE = battery.Case(
    ImageLabels,
    {"num_images": 3},
    (INDICES,),
    battery.Output((2, 2), "int32"),
    non_trainable={"labels": (3,), "epoch": ()},
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_labels_are_for_an_epoch():
    labels = ImageLabels(3)
    np.testing.assert_array_equal(to_numpy(labels(INDICES)), -100)
    labels.label(np.array([5, 6, 7]), epoch=4)
    np.testing.assert_array_equal(to_numpy(labels(INDICES)), [[7, 5], [6, 6]])
    assert labels.are_for(4)
    assert not labels.are_for(3)
    labels.end_epoch()
    assert not labels.are_for(4)
    np.testing.assert_array_equal(to_numpy(labels(INDICES)), [[7, 5], [6, 6]])
