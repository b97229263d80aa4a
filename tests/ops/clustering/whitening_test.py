import numpy as np
import pytest

from keras_capi.ops import fit_whitening

GENERATOR = np.random.default_rng(0)
MIX = GENERATOR.normal(size=(5, 5))
FEATURES = (GENERATOR.normal(size=(50, 5)) @ MIX + 3).astype("float32")


def test_components_are_white():
    matrix, offset, squares = fit_whitening(FEATURES, 3)
    whitened = FEATURES @ matrix.T + offset
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(whitened.T @ whitened, np.eye(3), atol=1e-4)
    centered = FEATURES - FEATURES.mean(axis=0)
    expected = np.linalg.svd(centered)[1] ** 2
    np.testing.assert_allclose(squares, expected, rtol=1e-4)
    # Those with the largest variance.
    lengths = np.linalg.norm(matrix, axis=1)
    np.testing.assert_allclose(lengths, expected[:3] ** -0.5, rtol=1e-4)


def test_without_variance_there_are_no_infinities():
    features = np.ones((4, 3), "float32")
    matrix, offset, _ = fit_whitening(features, 2)
    assert np.isfinite(features @ matrix.T + offset).all()
    with pytest.raises(ValueError, match="num_components=4, width=3"):
        fit_whitening(features, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite(value):
    features = np.eye(3, dtype="float32")
    features[1, 2] = value
    with pytest.raises(ValueError, match="The features must be finite"):
        fit_whitening(features, 2)
