"""What every test relies on: from the same seed come the same numbers."""

import os

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="It has seeds of its own.")

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="The seeds of the others are numbers, and no kernels keep them.",
)


def draw_by_operation():
    return tf.random.uniform((3,)).numpy()


def draw_by_operation_with_a_seed():
    return tf.random.uniform((3,), seed=1).numpy()


def draw_by_keras():
    return keras.ops.convert_to_numpy(keras.random.uniform((3,)))


def draw_from_traced():
    return tf.function(lambda: tf.random.uniform((3,)))().numpy()


def draw_order():
    return np.array(list(tf.data.Dataset.range(9).shuffle(9)))


def draw_order_of_fit():
    """Keras lets TensorFlow shuffle the arrays of a training."""
    seen = []
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    step = model.train_step

    def train_step(data):
        seen.append(data[0].numpy())
        return step(data)

    model.train_step = train_step
    numbers = np.arange(9.0)[:, None]
    model.fit(numbers, numbers, batch_size=3, verbose=0)
    return np.concatenate(seen)[:, 0]


DRAWS = [
    draw_by_operation,
    draw_by_operation_with_a_seed,
    draw_by_keras,
    draw_from_traced,
    draw_order,
    draw_order_of_fit,
]


@pytest.mark.parametrize("draw", DRAWS)
def test_same_numbers_from_the_same_seed(draw):
    keras.utils.set_random_seed(0)
    first, _ = draw(), draw()
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(draw(), first)
    keras.utils.set_random_seed(1)
    assert not np.array_equal(draw(), first)


@pytest.fixture
def cleared(monkeypatch):
    """List with an entry for each time that all kernels are thrown away."""
    from tensorflow.python.eager import context

    times = []
    clear = context.pywrap_tfe.TFE_ContextClearCaches

    def count(handle):
        times.append(None)
        clear(handle)

    monkeypatch.setattr(context.pywrap_tfe, "TFE_ContextClearCaches", count)
    return times


@pytest.mark.skipif(
    "USUAL_SEEDS" in os.environ, reason="Each seed throws them away."
)
def test_kernels_are_kept_where_they_have_no_state(cleared):
    tf.random.set_seed(0)  # after what was drawn before
    cleared.clear()
    draw_by_keras()
    draw_from_traced()
    tf.random.set_seed(0)
    assert not cleared
    draw_by_operation()
    tf.random.set_seed(0)
    tf.random.set_seed(0)
    assert len(cleared) == 1
