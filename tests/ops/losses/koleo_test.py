import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import koleo

FEATURES = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def expected(features):
    x = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarities = x @ x.T
    np.fill_diagonal(similarities, -1.0)
    nearest = x[similarities.argmax(axis=1)]
    return -np.log(np.linalg.norm(x - nearest, axis=1)).mean()


def test_mean_distance_to_the_nearest_other():
    loss = to_numpy(koleo(FEATURES))
    assert loss.dtype == "float32"
    assert loss == pytest.approx(expected(FEATURES), rel=1e-5)
    # Lengths do not matter.
    lengths = np.arange(1, 6, dtype="float32")[:, None]
    assert to_numpy(koleo(FEATURES * lengths)) == pytest.approx(loss, rel=1e-5)
    # The same twice costs much, but not infinitely much.
    same = np.ones((3, 4), "float32")
    assert 10.0 < to_numpy(koleo(same)) < 20.0


def test_a_single_image_has_no_other():
    """The authors' distance is 1e-8 in each channel then."""
    expected = -np.log(1e-8 * np.sqrt(4) + 1e-8)
    for features in (FEATURES[:1], 3.0 * FEATURES[1:2]):
        loss = to_numpy(koleo(features))
        assert loss == pytest.approx(expected, rel=1e-3)
    layer = keras.layers.Embedding(1, 4)
    layer.build((None,))
    layer.embeddings.assign(FEATURES[:1])
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.05), lambda y, x: koleo(x))
    model.train_on_batch(np.zeros(1, "int32"), np.zeros((1, 1)))
    moved = to_numpy(layer.embeddings)
    np.testing.assert_allclose(moved, FEATURES[:1], atol=1e-6)


def test_both_of_a_pair_move_apart():
    layer = keras.layers.Embedding(5, 4)
    layer.build((None,))
    layer.embeddings.assign(FEATURES)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.05), lambda y, x: koleo(x))
    for _ in range(20):
        model.train_on_batch(np.arange(5), np.zeros((5, 1)))
    moved = to_numpy(layer.embeddings)
    assert expected(moved) < expected(FEATURES) - 0.2
    assert (np.abs(moved - FEATURES).max(axis=1) > 1e-3).all()
