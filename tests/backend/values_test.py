import keras
import numpy as np
from keras import ops

from keras_capi.backend.values import values_of


def test_values_are_those_of_keras():
    first, second = keras.Variable([1.0]), keras.Variable([2.0, 3.0])
    for value, variable in zip(
        values_of([first, second]), (first, second), strict=True
    ):
        assert value is variable.value
    assert values_of([]) == []


def test_a_scope_may_replace_some():
    variables = keras.Variable([1.0]), keras.Variable([2.0])
    mapping = [(variables[1], ops.convert_to_tensor([5.0]))]
    with keras.StatelessScope(mapping):
        values = values_of(variables)
        # Also after it has looked at the scope.
        again = values_of(variables)
    for found in (values, again):
        np.testing.assert_array_equal(ops.convert_to_numpy(found[0]), [1.0])
        np.testing.assert_array_equal(ops.convert_to_numpy(found[1]), [5.0])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(values_of(variables)[1]), [2.0]
    )
