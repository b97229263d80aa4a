import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import SimCLRHead

FEATURES = np.random.default_rng(0).normal(size=(3, 2, 8)).astype("float32")

CASE = battery.Case(
    SimCLRHead,
    {"output_dim": 4, "num_layers": 2, "momentum": 0.8},
    (FEATURES,),
    battery.Output((3, 2, 4)),
    trainable={
        "layer_1/kernel": (8, 8),
        "norm_1/gamma": (8,),
        "norm_1/beta": (8,),
        "layer_2/kernel": (8, 4),
        # Without an offset.
        "norm_2/gamma": (4,),
    },
    non_trainable={
        "norm_1/moving_mean": (8,),
        "norm_1/moving_variance": (8,),
        "norm_2/moving_mean": (4,),
        "norm_2/moving_variance": (4,),
    },
    symbolic_shapes=((None, 8),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_normalises_all_views_together_and_ends_without_relu():
    head = SimCLRHead(4, 2)
    outputs = to_numpy(head(FEATURES, training=True)).reshape(6, 4)
    np.testing.assert_allclose(outputs.mean(axis=0), 0.0, atol=1e-5)
    assert (outputs < 0).any()


def test_published_start():
    head = SimCLRHead()
    head.build((None, 64))
    assert [layer.units for layer in head.layers] == [64, 64, 128]
    for layer in head.layers:
        assert to_numpy(layer.kernel).std() == pytest.approx(0.01, rel=0.1)
