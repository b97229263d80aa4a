import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from layers import battery

from keras_capi.layers import RMSNormalization

TOKENS = make_images(3, 5, 12, 1)[..., 0]

CASE = battery.Case(
    RMSNormalization,
    {"epsilon": 1e-4},
    (TOKENS,),
    battery.Output((3, 5, 12)),
    trainable={"scale": (12,)},
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_equals_the_layer_of_keras():
    layer = RMSNormalization()
    expected = keras.layers.RMSNormalization(epsilon=1e-5)
    for norm in (layer, expected):
        norm.build(TOKENS.shape)
        norm.scale.assign(np.linspace(0.5, 2, 12))
    np.testing.assert_allclose(
        to_numpy(layer(TOKENS)), to_numpy(expected(TOKENS)), rtol=1e-6
    )
