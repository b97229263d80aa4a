import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from helpers import to_numpy

from keras_capi.ops import interpolate_positions
from keras_capi.ops import patch_cells
from keras_capi.ops import relative_position_index
from keras_capi.ops import resample_positions
from keras_capi.ops import sine_positions

GENERATOR = np.random.default_rng(0)


def test_sines_of_one_patch():
    """The column first: sines, cosines, of 1 and of 1 / 100 a patch."""
    row, column = 2, 1
    positions = sine_positions((3, 4), 8)
    assert positions.dtype == "float32"
    expected = [
        wave(place * frequency)
        for place in (column, row)
        for wave in (np.sin, np.cos)
        for frequency in (1.0, 0.01)
    ]
    np.testing.assert_allclose(positions[row * 4 + column], expected, atol=1e-6)


def test_sines_need_a_width_of_four_parts():
    with pytest.raises(ValueError, match="divisible by 4.*hidden_dim=6"):
        sine_positions((2, 2), 6)


def cubic(distance, a=-0.75):
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def resample_axis(values, new_size, offset):
    """One output after the other, in double precision."""
    size = len(values)
    scale = (new_size + offset) / size
    outputs = []
    for output in range(new_size):
        center = (output + 0.5) / scale - 0.5
        first = int(np.floor(center)) - 1
        outputs.append(
            sum(
                cubic(center - place) * values[np.clip(place, 0, size - 1)]
                for place in range(first, first + 4)
            )
        )
    return np.stack(outputs)


def resample(table, new_grid, offset):
    table = resample_axis(table, new_grid[0], offset)
    table = resample_axis(table.swapaxes(0, 1), new_grid[1], offset)
    return table.swapaxes(0, 1).reshape(-1, table.shape[-1])


# Of the squares of 0 to 4, by the new size.
EXPECTED_OF_TORCH = {
    2: [1.135134, 10.280912],
    3: [0.169231, 4.195349, 13.338459],
    7: [-0.058252, 0.360111, 1.653062, 4.0, 7.367347, 12.415513, 16.407768],
}
# Smaller, larger, one axis as it was.
NEW_GRIDS = [(2, 3), (7, 9), (4, 3), (1, 5)]


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("new_grid", NEW_GRIDS)
def test_equals_numpy(new_grid, offset):
    table = GENERATOR.normal(size=(4, 5, 6)).astype("float32")
    result = resample_positions(table.reshape(20, 6), (4, 5), new_grid, offset)
    expected = resample(table.astype("float64"), new_grid, offset)
    np.testing.assert_allclose(to_numpy(result), expected, atol=5e-6)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_the_same_grid_is_left_alone(offset, antialias):
    table = GENERATOR.normal(size=(20, 6)).astype("float32")
    result = resample_positions(table, (4, 5), (4, 5), offset, antialias)
    np.testing.assert_array_equal(to_numpy(result), table)


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("new_grid", NEW_GRIDS)
def test_antialiasing_equals_numpy(new_grid, offset):
    """A wider kernel where an axis shrinks, none of it beyond the edges."""
    table = GENERATOR.normal(size=(4, 5, 6))
    expected = table
    for axis, new_size in enumerate(new_grid):
        size = table.shape[axis]
        scale = (new_size + offset) / size if new_size != size else 1.0
        matrix = np.array(
            [
                [
                    cubic(((i + 0.5) / scale - j - 0.5) * min(scale, 1.0), -0.5)
                    for j in range(size)
                ]
                for i in range(new_size)
            ]
        )
        matrix /= matrix.sum(axis=1, keepdims=True)
        expected = np.moveaxis(
            np.tensordot(matrix, expected, (1, axis)), 0, axis
        )
    result = resample_positions(
        table.reshape(20, 6), (4, 5), new_grid, offset, antialias=True
    )
    np.testing.assert_allclose(
        to_numpy(result), expected.reshape(-1, 6), atol=5e-6
    )


def test_antialiasing_by_torch():
    """As `torch.nn.functional.interpolate` does."""
    table = np.repeat(np.arange(5.0)[:, None] ** 2, 2, axis=1).reshape(10, 1)
    for new_size, expected in EXPECTED_OF_TORCH.items():
        result = resample_positions(
            table, (5, 2), (new_size, 2), antialias=True
        )
        rows = to_numpy(result).reshape(new_size, 2)
        np.testing.assert_allclose(rows[:, 0], expected, atol=1e-5)
        np.testing.assert_allclose(rows[:, 1], expected, atol=1e-5)


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each image size"
)
@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_grid_of_unknown_size(offset, antialias):
    import tensorflow as tf

    table = GENERATOR.normal(size=(20, 6)).astype("float32")

    @tf.function(input_signature=[(tf.TensorSpec((), "int32"),) * 2])
    def run(grid):
        positions = resample_positions(table, (4, 5), grid, offset, antialias)
        return positions, patch_cells(grid)

    for grid in ((4, 5), *NEW_GRIDS):
        positions, cells = run(tuple(map(tf.constant, grid)))
        expected = resample_positions(table, (4, 5), grid, offset, antialias)
        np.testing.assert_allclose(
            to_numpy(positions), to_numpy(expected), atol=1e-5
        )
        np.testing.assert_array_equal(
            to_numpy(cells), to_numpy(patch_cells(grid))
        )


def test_a_table_learns_through_resampling():
    layer = keras.layers.Embedding(4, 2, embeddings_initializer="ones")
    layer.build()
    result = resample_positions(layer.embeddings, (2, 2), (3, 3), 0.1)
    # Rows of the matrices sum to 1.
    np.testing.assert_allclose(to_numpy(result), np.ones((9, 2)), atol=1e-6)


def expected_index(query, key, rows, columns):
    """The row of the table that the published formula gives."""
    size = (2 * rows - 1) * (2 * columns - 1) + 3
    if query is None:
        return size - 1 if key is None else size - 3
    if key is None:
        return size - 2
    return (query[0] - key[0] + rows - 1) * (2 * columns - 1) + (
        query[1] - key[1] + columns - 1
    )


@pytest.mark.parametrize("num_prefix", [0, 1, 2])
def test_relative_positions(num_prefix):
    rows, columns = 3, 4
    cells = np.array([[[0, 0], [2, 3], [1, 1]], [[2, 0], [0, 3], [1, 2]]])
    index = to_numpy(
        relative_position_index(
            cells.astype("float32"), (rows, columns), num_prefix
        )
    )
    assert index.dtype == "int32"
    for sample, places in zip(index, cells, strict=True):
        tokens = [None] * num_prefix + list(places)
        expected = [
            [expected_index(q, k, rows, columns) for k in tokens]
            for q in tokens
        ]
        np.testing.assert_array_equal(sample, expected)


def test_all_relative_positions_of_a_grid_are_there():
    index = relative_position_index(patch_cells((3, 4))[None], (3, 4), 1)
    assert set(to_numpy(index).ravel()) == set(range(5 * 7 + 3))


@pytest.mark.parametrize("shape", [(5, 4), (7, 4), (2, 3, 4), (6,)])
def test_tables_of_another_grid(shape):
    table = np.ones(shape, "float32")
    message = r"row for each of 2 x 3 patches. Received: table.shape=\("
    with pytest.raises(ValueError, match=message):
        resample_positions(table, (2, 3), (4, 4))
    with pytest.raises(ValueError, match=message):
        interpolate_positions(table, (2, 3), np.zeros((1, 2)))
