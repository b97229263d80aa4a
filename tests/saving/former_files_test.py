"""Files that former versions wrote load, and give what they gave then."""

import keras
import numpy as np
import pytest
from conftest import REFERENCE

import keras_capi

SAVED = REFERENCE / "saved"


@pytest.fixture(scope="module")
def expected():
    with np.load(SAVED / "expected.npz") as arrays:
        return dict(arrays)


def assert_close(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-5)


def load(name):
    return keras.saving.load_model(SAVED / f"{name}.keras")


def test_pretrained_model(expected):
    """It also goes on training, with the state of its optimizer."""
    model = load("capi")
    images = expected["images"]
    features = model.predict(images, verbose=0)
    for name in ("global", "feature_map"):
        assert_close(features[name], expected[name])
    patches = np.tile(np.arange(10, dtype="int32"), (4, 1))
    inputs = {
        "images": images[:4],
        "visible_indices": patches[:, :6],
        "predict_indices": patches[:, 6:],
    }
    losses = [
        model.train_on_batch(inputs, return_dict=True)["capi_loss"]
        for _ in range(3)
    ]
    np.testing.assert_allclose(losses, expected["next_losses"], rtol=1e-4)


def test_classifier(expected):
    model = load("classifier")
    images = expected["images"]
    assert_close(model.predict(images, verbose=0), expected["classifier"])
    loss = model.train_on_batch(images, np.arange(len(images)) % 3)
    assert np.isfinite(loss)


def test_extractor(expected):
    features = load("extractor").predict(expected["images"], verbose=0)
    assert set(features) == {"average", "layer_1"}
    for name, values in features.items():
        assert_close(values, expected[f"extractor_{name}"])


def test_preset(expected):
    backbone = keras_capi.models.CAPIBackbone.from_preset(SAVED / "backbone")
    features = backbone.predict(expected["images"], verbose=0)
    for name in ("global", "feature_map"):
        assert_close(features[name], expected[name])
