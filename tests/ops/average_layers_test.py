import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import average_layers
from keras_capi.ops import instance_normalize

RNG = np.random.default_rng(0)
LAYERS = [RNG.normal(2.0, 3.0, (2, 5, 8)).astype("float32") for _ in range(3)]


def normalized(x, axis):
    deviation = np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis=axis, keepdims=True)) / deviation


@pytest.mark.parametrize(
    "norms", [("layer",), ("batch", "instance", "layer"), ()]
)
@pytest.mark.parametrize("average_norms", [("layer",), ("batch",), ()])
def test_norms_before_and_behind_the_average(norms, average_norms):
    axes = {"layer": -1, "instance": 1, "batch": (0, 1)}
    layers = LAYERS
    for norm in norms:
        layers = [normalized(layer, axes[norm]) for layer in layers]
    expected = np.mean(layers, axis=0)
    for norm in average_norms:
        expected = normalized(expected, axes[norm])
    average = to_numpy(average_layers(LAYERS, norms, average_norms))
    np.testing.assert_allclose(average, expected, atol=1e-4)


def test_half_precision_is_widened():
    layers = [layer.astype("float16") for layer in LAYERS]
    assert to_numpy(average_layers(layers, [], [])).dtype == np.float32


def test_instance_norm_forgets_what_all_tokens_have():
    x = LAYERS[0]
    outputs = to_numpy(instance_normalize(x + np.arange(8, dtype="float32")))
    np.testing.assert_allclose(outputs, normalized(x, 1), atol=1e-4)


@pytest.mark.parametrize("norms", ["layer", ["group"], [None]])
def test_unknown_norms(norms):
    with pytest.raises(
        ValueError, match=r"`norms` must be.*\['batch', 'instance', 'l"
    ):
        average_layers(LAYERS, norms)


def test_no_layers():
    with pytest.raises(ValueError, match="`layers` must be one or more"):
        average_layers([])
