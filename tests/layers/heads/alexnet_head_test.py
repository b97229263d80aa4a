import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import AlexNetHead

FEATURES = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")

CASE = battery.Case(
    AlexNetHead,
    {"hidden_dim": 6, "output_dim": 4, "dropout_rate": 0.25, "seed": 3},
    (FEATURES,),
    battery.Output((5, 4)),
    trainable={
        "hidden/kernel": (8, 6),
        "hidden/bias": (6,),
        "output_layer/kernel": (6, 4),
        "output_layer/bias": (4,),
    },
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_features_are_dropped_in_training_only():
    head = AlexNetHead(6, 4)
    features = keras.ops.ones((400, 8))
    head.build(features.shape)
    dropped = to_numpy(head._drop(features, True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1.0, abs=0.1)
    hidden = keras.ops.relu(head.hidden(features))
    np.testing.assert_allclose(
        to_numpy(head(features)), to_numpy(head.output_layer(hidden)), atol=1e-6
    )
    assert (to_numpy(head(features, training=True))[:9] < 0).any()


def test_weights_are_as_small_as_in_alexnet():
    head = AlexNetHead(64, 4096)
    head.build((None, 4096))
    assert to_numpy(head.hidden.kernel).std() == pytest.approx(0.01, rel=0.02)
