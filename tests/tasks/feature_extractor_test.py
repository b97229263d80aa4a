import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import to_numpy

from keras_capi.models import FeatureExtractor

FEATURES = ("layer_2", "global", "average", "registers", "feature_map")


def test_layers_of_the_backbone():
    """Each layer is what a backbone that ends there would return."""
    backbone = make_backbone(num_layers=3)
    images = make_images(2, 16, 20)
    features = backbone(images, layers=(1, 3))
    np.testing.assert_array_equal(
        to_numpy(features["layer_3"]), to_numpy(features["feature_map"])
    )
    shorter = make_backbone(num_layers=1)
    weights = dict(zip(_paths(backbone), backbone.weights, strict=True))
    for path, weight in zip(_paths(shorter), shorter.weights, strict=True):
        weight.assign(weights[path])
    np.testing.assert_allclose(
        to_numpy(features["layer_1"]),
        to_numpy(shorter(images)["feature_map"]),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="from 1 to `num_layers`.*(0,)"):
        backbone(images, layers=(0,))


def _paths(model):
    return [weight.path for weight in model.weights]


def test_functional_and_saved(tmp_path):
    extractor = FeatureExtractor(make_backbone(num_layers=2), FEATURES)
    inputs = keras.Input((16, 20, 3))
    outputs = extractor(inputs)
    assert {name: x.shape for name, x in outputs.items()} == {
        "layer_2": (None, 4, 5, 16),
        "global": (None, 16),
        "average": (None, 16),
        "registers": (None, 4, 16),
        "feature_map": (None, 4, 5, 16),
    }
    images = make_images(3, 16, 20)
    expected = extractor.predict(images, verbose=0)
    extractor.save(tmp_path / "extractor.keras")
    loaded = keras.saving.load_model(tmp_path / "extractor.keras")
    features = loaded.predict(images, verbose=0)
    assert set(features) == set(FEATURES)
    for name in FEATURES:
        assert features[name].shape[1:] == outputs[name].shape[1:]
        np.testing.assert_allclose(features[name], expected[name], atol=1e-6)
