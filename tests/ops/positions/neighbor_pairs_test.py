import numpy as np

from keras_capi.ops import neighbor_pairs


def test_labels_say_where_the_second_lies_from_the_first():
    pairs, labels = neighbor_pairs(3, 3)
    assert pairs.shape == (40, 2) and len({*map(tuple, pairs)}) == 40
    rows, columns = np.divmod(pairs, 3)
    down, right = rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]
    square = np.array([[0, 1, 2], [3, -1, 4], [5, 6, 7]])
    np.testing.assert_array_equal(labels, square[down + 1, right + 1])
    # Each relation has its opposite as often.
    counts = np.bincount(labels)
    np.testing.assert_array_equal(counts, counts[::-1])
    assert (counts > 0).all()
    np.testing.assert_array_equal(labels[0::2] + labels[1::2], 7)


def test_a_single_cell_has_no_neighbours():
    pairs, labels = neighbor_pairs(1, 1)
    assert pairs.shape == (0, 2) and labels.shape == (0,)
