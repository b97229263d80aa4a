import keras
import numpy as np
from helpers import to_numpy

from keras_capi.ops.clustering.used_words import used_words
from keras_capi.ops.gumbel_softmax import exponential_noise
from keras_capi.ops.gumbel_softmax import gumbel_softmax

LOGITS = np.log(np.array([0.2, 0.5, 0.3], "float32"))


def noise(count):
    uniform = np.random.default_rng(0).random((count, 3), "float32")
    return to_numpy(exponential_noise(keras.ops.convert_to_tensor(uniform)))


def test_draws_with_the_probabilities_of_the_scores():
    logits = np.tile(LOGITS, (20_000, 1))
    choices = to_numpy(gumbel_softmax(logits, noise(20_000), 0.05))
    counts = np.bincount(choices.argmax(axis=-1), minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.2, 0.5, 0.3], atol=0.015)
    np.testing.assert_allclose(choices.sum(axis=-1), 1.0, rtol=1e-5)


def test_one_class_alone():
    logits = np.tile(LOGITS, (10, 1))
    soft = to_numpy(gumbel_softmax(logits, noise(10), 0.7))
    hard = to_numpy(gumbel_softmax(logits, noise(10), 0.7, True))
    np.testing.assert_allclose(hard, np.eye(3)[soft.argmax(axis=-1)], atol=1e-6)


def test_noise_is_finite_and_of_mean_one():
    extremes = np.array([0.0, np.float32(1) - np.float32(2**-24)], "float32")
    assert np.isfinite(to_numpy(exponential_noise(extremes))).all()
    assert np.isfinite(
        to_numpy(gumbel_softmax(extremes, np.zeros(2, "float32"), 0.1))
    ).all()
    assert abs(noise(20_000).mean() - 1.0) < 0.02


def test_used_words():
    scores = np.eye(6, dtype="float32")[[0, 0, 3, 3]].reshape(2, 2, 6)
    np.testing.assert_allclose(to_numpy(used_words(scores)), 2.0, rtol=1e-5)
    same = np.eye(6, dtype="float32")[[1, 1]]
    np.testing.assert_allclose(to_numpy(used_words(same)), 1.0, rtol=1e-5)
