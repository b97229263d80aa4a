import numpy as np
import pytest

from keras_capi.evaluation import majority_vote


@pytest.mark.parametrize("shape", [(50, 1), (50, 2), (50, 9), (6, 7, 5)])
def test_equals_counting(shape):
    labels = np.random.default_rng(0).integers(0, 4, shape).astype("uint8")
    expected = np.apply_along_axis(
        lambda votes: np.bincount(votes).argmax(), 1, labels
    )
    result = majority_vote(labels)
    assert result.dtype == "uint8"
    np.testing.assert_array_equal(result, expected)


def test_without_votes():
    with pytest.raises(ValueError, match="at least one vote"):
        majority_vote(np.zeros((3, 0), int))
