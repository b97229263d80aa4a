"""The learnt token of hidden patches."""

import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import MaskToken

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
MASK = GENERATOR.random((4, 6)) < 0.5

CASE = battery.Case(
    MaskToken,
    {},
    (TOKENS, MASK),
    battery.Output((4, 6, 16)),
    trainable={"token": (1, 16)},
    symbolic_shapes=((None, 16), (None,)),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_tokens_are_replaced():
    layer = MaskToken("ones")
    tokens = to_numpy(layer(TOKENS, MASK))
    np.testing.assert_array_equal(tokens[MASK], 1.0)
    np.testing.assert_array_equal(tokens[~MASK], TOKENS[~MASK])


def test_start():
    layer = MaskToken()
    layer.build((None, None, 4096))
    assert abs(to_numpy(layer.token).std() / 0.02 - 1) < 0.1


def test_initializer_is_in_the_config():
    layer = MaskToken(keras.initializers.Constant(0.5))
    clone = MaskToken.from_config(layer.get_config())
    clone.build((None, None, 8))
    np.testing.assert_array_equal(to_numpy(clone.token), 0.5)
