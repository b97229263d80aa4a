"""Learnt positions that are found by coordinates."""

import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import CoordinateTable
from keras_capi.ops import interpolate_positions
from keras_capi.ops import patch_coordinates

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(2, 5, 8)).astype("float32")
COORDINATES = GENERATOR.random((2, 5, 2)).astype("float32")

CASE = battery.Case(
    CoordinateTable,
    {"grid_size": (3, 4)},
    (TOKENS, COORDINATES),
    battery.Output((2, 5, 8)),
    trainable={"table": (12, 8)},
    symbolic_shapes=((None, 8), (None, 2)),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_a_grid_of_the_size_of_the_table_has_its_rows():
    layer = CoordinateTable((3, 4))
    layer.build((None, None, 8))
    zeros = np.zeros((2, 12, 8), "float32")
    added = to_numpy(layer(zeros, patch_coordinates((3, 4))[None]))
    np.testing.assert_allclose(added[1], to_numpy(layer.table), atol=1e-6)


@pytest.mark.parametrize("grid_size", [(2, 2), (1, 2)])
def test_in_between_they_are_bilinear(grid_size):
    table = np.arange(1.0, 5.0)[:, None][: np.prod(grid_size)]
    positions = interpolate_positions(
        table, grid_size, np.array([[0.25, 0.5], [1.0, 1.0]], "float32")
    )
    expected = {(2, 2): [2.0, 4.0], (1, 2): [1.5, 2.0]}[grid_size]
    np.testing.assert_allclose(to_numpy(positions)[:, 0], expected, rtol=1e-6)
