import keras
import numpy as np
import pytest
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


def test_takes_samples_and_adds_to_them():
    x = np.arange(12.0, dtype="float32").reshape(4, 3)
    indices = np.array([2, 0], "int32")
    tensor = ops.convert_to_tensor(x)
    taken = backend.take_samples(tensor, ops.convert_to_tensor(indices))
    np.testing.assert_array_equal(ops.convert_to_numpy(taken), x[indices])
    added = backend.add_to_samples(
        tensor, ops.convert_to_tensor(indices), taken
    )
    x[indices] *= 2
    np.testing.assert_array_equal(ops.convert_to_numpy(added), x)


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
