import keras
import numpy as np
import pytest
from backend_helpers import gradients
from keras import ops

from keras_capi import backend

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs"
)


def test_splits_into_parts_of_these_sizes():
    x = np.arange(30.0, dtype="float32").reshape(2, 5, 3)
    parts = backend.split(ops.convert_to_tensor(x), (1, 3, 1), 1)
    for part, expected in zip(parts, np.split(x, (1, 4), axis=1), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(part), expected)


# TensorFlow takes another way for samples that are wide, of which each
# number must stay as it is.
@pytest.mark.parametrize("width", [3, 32])
def test_takes_samples_and_adds_to_them(width):
    x = np.random.default_rng(0).normal(size=(4, 2, width)).astype("float32")
    indices = np.array([2, 0], "int32")
    tensor = ops.convert_to_tensor(x)
    taken = backend.take_samples(tensor, ops.convert_to_tensor(indices))
    np.testing.assert_array_equal(ops.convert_to_numpy(taken), x[indices])
    added = backend.add_to_samples(
        tensor, ops.convert_to_tensor(indices), taken
    )
    x[indices] *= 2
    np.testing.assert_array_equal(ops.convert_to_numpy(added), x)


@pytest.mark.parametrize("width", [3, 32])
def test_gradients_of_taken_and_added_samples(width):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4, 2, width)).astype("float32")
    weights = generator.normal(size=x.shape).astype("float32")
    indices = ops.convert_to_tensor(np.array([2, 0], "int32"))

    def loss(x):
        taken = ops.square(backend.take_samples(x, indices))
        added = backend.add_to_samples(x, indices, taken)
        return ops.sum(ops.multiply(added, weights))

    expected = weights.copy()
    expected[[2, 0]] *= 1 + 2 * x[[2, 0]]
    (gradient,) = gradients(loss, x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


@needs_tensorflow
@pytest.mark.parametrize("width", [4, 32])
def test_wide_samples_are_picked_out_by_products(width):
    """For what gathers and scatters XLA compiles a kernel each time."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def add(x, indices):
        taken = backend.take_samples(x, indices)
        return backend.add_to_samples(x, indices, taken)

    text = add.experimental_get_compiler_ir(
        tf.zeros((4, 2, width)), tf.constant([2, 0])
    )(stage="optimized_hlo")
    assert (" scatter(" in text) == (" gather(" in text) == (width == 4)
    assert (" dot(" in text) == (width == 32)


@needs_tensorflow
def test_graphs_have_no_operations_to_find_sizes_and_indices():
    import tensorflow as tf

    @tf.function(autograph=False)
    def split_and_take(x, indices):
        return backend.split(x, (1, 3), 1), backend.take_samples(x, indices)

    graph = split_and_take.get_concrete_function(
        tf.TensorSpec((4, 4)), tf.TensorSpec((2,), "int32")
    ).graph
    types = {operation.type for operation in graph.get_operations()}
    assert types <= {"Placeholder", "Const", "SplitV", "GatherV2", "Identity"}
