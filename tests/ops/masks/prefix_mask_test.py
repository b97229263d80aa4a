import numpy as np
from helpers import to_numpy

from keras_capi.ops import prefix_mask


def test_what_is_behind_the_prefix_is_in_order():
    mask = to_numpy(prefix_mask(np.array([1, 3]), 4))
    expected = np.tril(np.ones((4, 4), bool))
    np.testing.assert_array_equal(mask[0], expected)
    expected[:, :3] = True
    np.testing.assert_array_equal(mask[1], expected)


def test_tokens_without_a_place_belong_to_the_prefix():
    mask = to_numpy(prefix_mask(np.array([2]), 4, num_prefix_tokens=3))[0]
    assert mask[:, :3].all()
    np.testing.assert_array_equal(
        mask[:3, 3:], [[True, True, False, False]] * 3
    )
    np.testing.assert_array_equal(
        mask[3:, 3:], to_numpy(prefix_mask(np.array([2]), 4))[0]
    )
