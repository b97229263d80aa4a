import numpy as np
import pytest

from keras_capi.visualization.spread_indices import spread_indices


@pytest.mark.parametrize("count, number", [(100, 7), (11, 10), (1000, 16)])
def test_one_of_each_part(count, number):
    chosen = spread_indices(count, number)
    assert len(set(chosen.tolist())) == number
    parts = np.floor(chosen * number / count)
    assert np.abs(parts - np.arange(number)).max() <= 1
    np.testing.assert_array_equal(chosen, spread_indices(count, number))


def test_the_seed_decides():
    draws = {tuple(spread_indices(1000, 5, seed)) for seed in range(5)}
    assert len(draws) == 5


def test_all_of_few():
    np.testing.assert_array_equal(spread_indices(3, 8), [0, 1, 2])


@pytest.mark.parametrize("arguments", [(0, 3), (3, 0), (3, 2, -1), (2.5, 1)])
def test_bad_numbers(arguments):
    with pytest.raises(ValueError, match="must be"):
        spread_indices(*arguments)
