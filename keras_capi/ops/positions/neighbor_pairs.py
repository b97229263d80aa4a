import numpy as np

from keras_capi.validation import check_positive_integer

# Steps in rows and columns to the neighbours that come earlier.
STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1))
NUM_RELATIONS = 8


def neighbor_pairs(rows, columns):
    """Lists all pairs of neighbours in a grid, and their relations.

    Pairs each cell with its neighbours to the left, above, and diagonally
    above, in both orders. All eight relations occur, opposite ones equally
    often.

    Args:
        rows: Integer.
        columns: Integer.

    Returns:
        Two int32 arrays: row-major indices of the cells, of shape `(pairs, 2)`;
        and the position of the second cell relative to the first, of shape
        `(pairs,)`: its row-major number in a square of 3 x 3 without the
        centre, from 0 to 7.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> pairs, labels = keras_capi.ops.neighbor_pairs(1, 2)
    >>> pairs.tolist(), labels.tolist()  # ([[1, 0], [0, 1]], [3, 4])

    Reference:

    - [Unsupervised visual representation learning by context prediction](
      https://arxiv.org/abs/1505.05192), figure 2
    """
    check_positive_integer("rows", rows)
    check_positive_integer("columns", columns)
    pairs, labels = [], []
    for row, column in np.ndindex(rows, columns):
        for down, right in STEPS:
            other = row + down, column + right
            if other[0] < 0 or not 0 <= other[1] < columns:
                continue
            cell = row * columns + column
            neighbor = other[0] * columns + other[1]
            label = _relation(down, right)
            pairs += [(cell, neighbor), (neighbor, cell)]
            labels += [label, NUM_RELATIONS - 1 - label]
    return (
        np.array(pairs, "int32").reshape(-1, 2),
        np.array(labels, "int32"),
    )


def _relation(down, right):
    place = 3 * (down + 1) + right + 1
    # Without the centre, whose number is 4.
    return place - (place > 4)
