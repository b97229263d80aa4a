import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import masked_mean

VALUES = np.array([[1.0, 5.0, np.nan], [2.0, 3.0, 7.0]], "float32")


def test_images_with_more_masked_places_count_for_more():
    mask = np.array([[True, False, False], [True, True, False]])
    # What is not masked does not count, whatever it is.
    assert float(to_numpy(masked_mean(VALUES, mask))) == pytest.approx(2.0)


def test_nothing_is_masked():
    assert float(to_numpy(masked_mean(VALUES, np.zeros((2, 3), bool)))) == 0.0
