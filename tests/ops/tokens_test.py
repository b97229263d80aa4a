import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from backend_helpers import gradients
from helpers import make_images
from helpers import to_numpy
from keras import ops

from keras_capi.ops import extract_patches
from keras_capi.ops import gather_tokens
from keras_capi.ops import join_patches
from keras_capi.ops.tokens import indices_are_distinct
from keras_capi.ops.tokens import list_hidden
from keras_capi.ops.tokens import slice_tokens
from keras_capi.ops.tokens import to_int32

TOKENS = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
# With repetition, in any order.
INDICES = np.array([[5, 0], [2, 2], [3, 4]], "int32")
EXPECTED = np.take_along_axis(TOKENS, INDICES[..., None], axis=1)


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_gathers_by_sample(compilation):
    run = compile_function(gather_tokens, compilation, unknown_batch=True)
    np.testing.assert_array_equal(to_numpy(run(TOKENS, INDICES)), EXPECTED)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_gathers_with_any_integers(dtype):
    outputs = gather_tokens(TOKENS, INDICES.astype(dtype))
    np.testing.assert_array_equal(to_numpy(outputs), EXPECTED)


@pytest.mark.parametrize("kind", [np.array, list])
@pytest.mark.parametrize("bad", [-1, 6, 2**40])
def test_indices_of_no_token(kind, bad):
    """Backends would wrap around, return NaN, or read the next sample."""
    indices = kind([[5, 0], [2, bad], [3, 4]])
    rule = rf"`indices` must be from 0 to 5, .*Received: from.*{bad}"
    with pytest.raises(ValueError, match=rule):
        gather_tokens(TOKENS, indices)


def test_no_indices():
    empty = np.zeros((3, 0), "int32")
    assert tuple(gather_tokens(TOKENS, empty).shape) == (3, 0, 4)


def test_gradient_goes_to_the_picked_tokens():
    weights = np.random.default_rng(1).normal(size=(3, 2, 4)).astype("float32")
    indices = ops.convert_to_tensor(INDICES)
    factors = ops.convert_to_tensor(weights)
    (gradient,) = gradients(
        lambda tokens: ops.sum(gather_tokens(tokens, indices) * factors), TOKENS
    )
    expected = np.zeros_like(TOKENS)
    for sample, place in np.ndindex(3, 2):
        expected[sample, INDICES[sample, place]] += weights[sample, place]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([[0, 5]], [[3]], True),
        ([[0, 6]], [[3]], False),
        ([[0, 1], [2, 0]], [[3], [-1]], False),
        ([[0, 5], [1, 3]], [[3], [3]], False),
        ([[4, 4]], [[3]], False),
    ],
)
def test_indices_are_distinct(first, second, expected):
    first, second = (ops.convert_to_tensor(x, "int32") for x in (first, second))
    assert bool(to_numpy(indices_are_distinct(first, second, 6))) is expected


def test_no_index_wraps():
    """Whatever the kind of array, it does not become index 3."""
    indices = np.full((3, 1), 2**32 + 3)
    with pytest.raises(ValueError, match="4294967299"):
        gather_tokens(TOKENS, indices)
    # JAX has no longer integers and cuts such a tensor when it is made.
    if keras.backend.backend() != "jax":
        tensor = to_int32(ops.convert_to_tensor(indices, "int64"))
        assert (to_numpy(tensor) > len(TOKENS[0])).all()


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_slices_from_a_start_that_may_be_a_tensor(compilation):
    run = compile_function(
        lambda tokens, starts: slice_tokens(tokens, starts[1], 3),
        compilation,
        unknown_batch=True,
    )
    starts = np.array([0, 2], "int32")
    np.testing.assert_array_equal(to_numpy(run(TOKENS, starts)), TOKENS[:, 2:5])
    np.testing.assert_array_equal(to_numpy(slice_tokens(TOKENS, 0, 6)), TOKENS)


def check_patches(patches, images, size):
    columns = images.shape[2] // size
    for index in range(patches.shape[1]):
        row, column = divmod(index, columns)
        window = images[
            :,
            row * size : (row + 1) * size,
            column * size : (column + 1) * size,
        ]
        np.testing.assert_array_equal(
            patches[:, index], window.reshape(len(images), -1)
        )


@pytest.mark.parametrize(
    ("height", "width", "channels", "size"),
    [(8, 12, 3, 4), (4, 4, 3, 4), (3, 2, 5, 1), (2, 6, 1, 2)],
)
def test_extracts_patches(height, width, channels, size):
    images = make_images(2, height, width, channels)
    patches = to_numpy(extract_patches(images, size))
    num_patches = height * width // size**2
    assert patches.shape == (2, num_patches, size**2 * channels)
    check_patches(patches, images, size)


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_extracts_patches_in_a_graph(compilation):
    images = make_images(2, 8, 12)
    run = compile_function(
        lambda x: extract_patches(x, 4), compilation, unknown_batch=True
    )
    check_patches(to_numpy(run(images)), images, 4)


@pytest.mark.parametrize(
    ("height", "width", "channels", "size"), [(8, 12, 3, 4), (2, 6, 1, 2)]
)
def test_joins_what_was_cut(height, width, channels, size):
    images = make_images(2, height, width, channels)
    grid_size = (height // size, width // size)
    joined = join_patches(extract_patches(images, size), size, grid_size)
    np.testing.assert_array_equal(to_numpy(joined), images)


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_joins_patches_in_a_graph(compilation):
    images = make_images(2, 8, 12)
    run = compile_function(
        lambda x: join_patches(extract_patches(x, 4), 4, (2, 3)),
        compilation,
        unknown_batch=True,
    )
    np.testing.assert_array_equal(to_numpy(run(images)), images)


def test_patches_of_another_rank():
    with pytest.raises(ValueError, match="`images` must have rank 4.*8, 12, 3"):
        extract_patches(np.zeros((8, 12, 3)), 4)
    with pytest.raises(ValueError, match="`patches` must have rank 3.*6, 48"):
        join_patches(np.zeros((6, 48)), 4, (2, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((4, (2, 2)), "`grid_size` must be"), ((5, (2, 3)), "`patch_size` must")],
)
def test_patches_that_do_not_join(arguments, message):
    with pytest.raises(ValueError, match=message):
        join_patches(np.zeros((2, 6, 48), "float32"), *arguments)


def test_hidden_patches_come_first():
    mask = np.array([[False, True, True, False], [False] * 4])
    indices = to_numpy(list_hidden(mask, 3))
    np.testing.assert_array_equal(indices, [[1, 2, 0], [0, 1, 2]])
    assert indices.dtype == "int32"
