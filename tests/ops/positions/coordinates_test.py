import numpy as np
import pytest
from backend_helpers import BACKEND
from helpers import to_numpy
from keras import ops

from keras_capi.ops import patch_coordinates
from keras_capi.ops import register_coordinates
from keras_capi.ops import scale_to_bounding_box

GRIDS = [(1, 1), (1, 4), (3, 1), (2, 3), (16, 16)]


def expected_coordinates(grid_size):
    rows, columns = (np.linspace(0, 1, size) for size in grid_size)
    return np.array([(row, column) for row in rows for column in columns])


@pytest.mark.parametrize("grid_size", GRIDS)
def test_patch_coordinates(grid_size):
    coordinates = to_numpy(patch_coordinates(grid_size))
    assert coordinates.dtype == np.float32
    np.testing.assert_allclose(
        coordinates, expected_coordinates(grid_size), atol=1e-7
    )


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each image size"
)
def test_patch_coordinates_of_a_grid_of_unknown_size():
    import tensorflow as tf

    run = tf.function(
        patch_coordinates,
        input_signature=[(tf.TensorSpec((), "int32"),) * 2],
    )
    for grid_size in GRIDS:
        np.testing.assert_array_equal(
            run(tuple(map(tf.constant, grid_size))),
            to_numpy(patch_coordinates(grid_size)),
        )


def test_published_coordinates(reference):
    """Visible patches, and registers in their bounding box."""
    offsets = 64 * np.arange(4)[:, None]
    indices = reference["visible_indices"].reshape(4, -1) - offsets
    patches = to_numpy(patch_coordinates((8, 8)))[indices]
    expected = reference["masked/coords"]
    np.testing.assert_allclose(patches, expected[:, 8:], atol=1e-6)
    registers = scale_to_bounding_box(
        ops.convert_to_tensor(register_coordinates(8)),
        ops.convert_to_tensor(patches),
    )
    np.testing.assert_allclose(to_numpy(registers), expected[:, :8], atol=1e-6)


def test_registers_walk_along_the_edge():
    along = np.arange(3) / 3
    coordinates = register_coordinates(12)
    assert coordinates.dtype == np.float32
    for side, (rows, columns) in enumerate(
        [(along, 0), (1, along), (1 - along, 1), (0, 1 - along)]
    ):
        part = coordinates[3 * side : 3 * side + 3]
        np.testing.assert_allclose(part[:, 0], rows, atol=1e-7)
        np.testing.assert_allclose(part[:, 1], columns, atol=1e-7)


@pytest.mark.parametrize("kind", ["edge", "zeros"])
def test_no_registers(kind):
    assert register_coordinates(0, kind).shape == (0, 2)


def test_registers_at_the_origin():
    np.testing.assert_array_equal(
        register_coordinates(8, "zeros"), np.zeros((8, 2))
    )


@pytest.mark.parametrize("num_registers", [-4, 1, 6])
def test_bad_number_of_registers(num_registers):
    message = f"`num_registers` must be divisible by 4.*={num_registers}"
    with pytest.raises(ValueError, match=message):
        register_coordinates(num_registers)


def test_bad_kind():
    message = "`register_coordinates` must be one of 'edge', 'zeros'.*='line'"
    with pytest.raises(ValueError, match=message):
        register_coordinates(4, "line")


def test_bounding_box_of_each_image():
    reference = np.array(
        [[[0.2, 0.5], [0.6, 0.5], [0.4, 0.9]], [[0, 0], [1, 1], [0.5, 0]]],
        "float32",
    )
    coordinates = np.array([[0, 0], [0.5, 1], [1, 0.25]], "float32")
    outputs = scale_to_bounding_box(
        ops.convert_to_tensor(coordinates), ops.convert_to_tensor(reference)
    )
    np.testing.assert_allclose(
        to_numpy(outputs),
        [[[0.2, 0.5], [0.4, 0.9], [0.6, 0.6]], coordinates],
        atol=1e-6,
    )


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each number of tokens"
)
def test_bounding_box_of_an_unknown_number_of_patches():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    tokens = rng.uniform(size=(4, 2)).astype("float32")
    run = tf.function(
        lambda x: scale_to_bounding_box(tf.constant(tokens), x),
        input_signature=[tf.TensorSpec((None, None, 2), "float32")],
    )
    reference = rng.uniform(size=(3, 5, 2)).astype("float32")
    np.testing.assert_array_equal(
        run(reference),
        to_numpy(scale_to_bounding_box(tf.constant(tokens), reference)),
    )
