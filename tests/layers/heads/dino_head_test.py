import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import DINOHead

FEATURES = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
SIZES = {"num_layers": 2, "hidden_dim": 6, "bottleneck_dim": 4}

CASE = battery.Case(
    DINOHead,
    {"num_prototypes": 5, **SIZES},
    (FEATURES,),
    battery.Output((2, 3, 5), "float32"),
    trainable={
        "layer_1/kernel": (8, 6),
        "layer_1/bias": (6,),
        "layer_2/kernel": (6, 4),
        "layer_2/bias": (4,),
        "prototypes/direction": (4, 5),
    },
    non_trainable={"prototypes/gain": (5,)},
    symbolic_shapes=((None, 8),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_published_start():
    head = DINOHead(64, hidden_dim=64, bottleneck_dim=16)
    head.build((None, 32))
    assert len(head.layers) == 3
    for layer in head.layers:
        assert to_numpy(layer.kernel).std() == pytest.approx(0.02, rel=0.08)
        assert not to_numpy(layer.bias).any()
    direction = to_numpy(head.prototypes.direction)
    # Uniform between -1/4 and 1/4, for a bottleneck of 16.
    assert np.abs(direction).max() <= 0.25
    assert direction.std() == pytest.approx(0.25 / 3**0.5, rel=0.1)


def test_one_layer_is_linear():
    head = DINOHead(5, num_layers=1, bottleneck_dim=4)
    head.build((None, 8))
    np.testing.assert_allclose(
        to_numpy(head.project(2.0 * FEATURES)),
        2.0 * to_numpy(head.project(FEATURES)),
        rtol=1e-5,
        atol=1e-6,
    )
