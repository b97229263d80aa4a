"""Tables of relative positions for other sizes."""

import numpy as np
import pytest

from keras_capi.ops import resample_relative_positions
from keras_capi.ops.positions.relative_tables import _nodes
from keras_capi.ops.positions.relative_tables import _spline_matrix

GENERATOR = np.random.default_rng(0)
GRIDS = [
    ((8, 8), (10, 10)),
    ((4, 6), (7, 6)),
    ((3, 2), (5, 4)),
    ((5, 5), (3, 3)),
]


def make_table(function, grid_size, nodes):
    """A table of a function of the places of its offsets."""
    rows, columns = np.meshgrid(*nodes, indexing="ij")
    table = function(rows, columns).reshape(-1, 1)
    return np.concatenate([table, [[7.0], [8.0], [9.0]]]).astype("float32")


@pytest.mark.parametrize(("old", "new"), GRIDS)
def test_polynomials_are_resampled_exactly(old, new):
    # Of a degree that three nodes determine.
    def function(rows, columns):
        return 1.0 + rows / 3 - columns**2 / 20 + rows * columns / 9

    nodes = [_nodes(a, b) for a, b in zip(old, new, strict=True)]
    table = make_table(function, old, nodes)
    # Beyond the outermost nodes, it stays.
    places = [
        np.clip(np.arange(1.0 - size, size), x[0], x[-1])
        for size, x in zip(new, nodes, strict=True)
    ]
    expected = make_table(function, new, places)
    resampled = resample_relative_positions(table, old, new)
    assert resampled.dtype == "float32"
    np.testing.assert_allclose(resampled, expected, atol=1e-4)


def test_nodes_are_a_geometric_progression():
    nodes = _nodes(8, 12)
    gaps = np.diff(nodes)[7:]
    np.testing.assert_allclose(gaps[1:] / gaps[:-1], gaps[1] / gaps[0])
    assert gaps[0] == 1.0
    assert nodes[-1] == pytest.approx(11.0, abs=1e-3)
    np.testing.assert_allclose(nodes, -nodes[::-1])


def test_splines_are_smooth():
    nodes = np.array([-5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0])
    values = GENERATOR.normal(size=7)
    np.testing.assert_allclose(_spline_matrix(nodes, nodes) @ values, values)
    # Two derivatives are the same on both sides of an inner node; the third
    # one too at the second.
    for node, order in ((-2.0, 3), (0.0, 2), (2.0, 3)):
        sides = []
        for sign in (-1, 1):
            places = node + sign * np.array([0.0, 0.1, 0.2, 0.3])
            fit = np.polyfit(
                places - node, _spline_matrix(nodes, places) @ values, 3
            )
            sides.append(fit[::-1][: order + 1])
        np.testing.assert_allclose(*sides, atol=1e-6)


def test_the_same_grid():
    table = GENERATOR.normal(size=(15 + 3, 2)).astype("float32")
    np.testing.assert_array_equal(
        resample_relative_positions(table, (2, 3), (2, 3)), table
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((14, 2)), (2, 3), (4, 4)), "at least 15 rows.*14, 2"),
        ((np.ones((15, 2)), (2, 3), (4, 0)), "`new_grid_size`.*0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        resample_relative_positions(*arguments)
