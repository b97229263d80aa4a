"""Gradients of rows that are taken several times, as from a table."""

import contextlib

import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.optimizers import LARS
from keras_capi.optimizers import AdamW

NAMES = np.array([[0, 0, 0, 2], [2, 0, 0, 4]])
TARGETS = np.arange(24, dtype="float32").reshape(2, 4, 3) / 10


class Table(keras.Model):
    """Vectors of a table, by their numbers."""

    def __init__(self, takes_rows):
        super().__init__()
        self.takes_rows = takes_rows
        self.table = self.add_weight(
            shape=(5, 3), initializer=keras.initializers.Constant(0.1)
        )
        self.built = True

    def call(self, names):
        if self.takes_rows:
            return ops.take(self.table, names, axis=0)
        return ops.matmul(ops.one_hot(names, 5), self.table)


def scope(has_strategy):
    if not has_strategy:
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0"]).scope()


def trained(takes_rows, make_optimizer, has_strategy):
    with scope(has_strategy):
        model = Table(takes_rows)
        model.compile(make_optimizer(), "mse", jit_compile=False)
        for _ in range(3):
            model.train_on_batch(NAMES, TARGETS)
    return to_numpy(model.table)


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda: AdamW(0.1),
        lambda: AdamW(0.1, clip_norm=0.2, epsilon=1.0),
        lambda: LARS(1.0, trust_coefficient=0.1),
    ],
    ids=["moments", "norms", "trust"],
)
@pytest.mark.parametrize("has_strategy", [False, True])
def test_rows_count_by_the_sum_of_their_gradients(make_optimizer, has_strategy):
    if has_strategy and keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's strategies")
    rows, products = (
        trained(takes_rows, make_optimizer, has_strategy)
        for takes_rows in (True, False)
    )
    np.testing.assert_allclose(rows, products, atol=1e-6)
    assert np.abs(rows - 0.1).max() > 1e-3
