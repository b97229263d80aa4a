import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import feature_deviation

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


def test_root_of_the_mean_variance():
    expected = X.reshape(-1, 8).var(axis=0).mean() ** 0.5
    for features in (X, X + 2.0, X.reshape(15, 8)):
        value = float(to_numpy(feature_deviation(features)))
        assert value == pytest.approx(expected, rel=1e-4)


def test_the_same_feature_everywhere():
    value = feature_deviation(np.broadcast_to(X[0, 0], X.shape))
    assert float(to_numpy(value)) < 1e-3


def test_features_that_hardly_differ():
    """A rounding error of their squares would be as large."""
    features = 30.0 + 1e-3 * np.tile(X.reshape(-1, 8), (50, 1))
    expected = features.astype("float64").var(axis=0).mean() ** 0.5
    value = float(to_numpy(feature_deviation(features.astype("float32"))))
    assert value == pytest.approx(expected, rel=1e-2)
