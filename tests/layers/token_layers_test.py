"""Small layers of the standard vision transformer: prefix, positions, scale."""

import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import LayerNormalization
from keras_capi.layers import LayerScale
from keras_capi.layers import PositionTable
from keras_capi.layers import PrefixTokens
from keras_capi.layers import RelativePositionBias
from keras_capi.ops import patch_cells
from keras_capi.ops import relative_position_index
from keras_capi.ops import sine_positions

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
INDEX = GENERATOR.integers(0, 15, size=(4, 6, 6)).astype("int32")

CASES = {
    "scale": battery.Case(
        LayerScale,
        {"initial_value": 0.1},
        (TOKENS,),
        battery.Output((4, 6, 16)),
        trainable={"gamma": (16,)},
        symbolic_shapes=((None, 16),),
    ),
    "norm": battery.Case(
        LayerNormalization,
        {"epsilon": 1e-3},
        (TOKENS,),
        battery.Output((4, 6, 16)),
        trainable={"gamma": (16,), "beta": (16,)},
        symbolic_shapes=((None, 16),),
    ),
    "prefix": battery.Case(
        PrefixTokens,
        {"class_token": True, "num_registers": 2},
        (TOKENS,),
        battery.Output((4, 9, 16)),
        trainable={"class_token": (1, 16), "registers": (2, 16)},
        symbolic_shapes=((None, 16),),
    ),
    "no_prefix": battery.Case(
        PrefixTokens,
        {"class_token": False},
        (TOKENS,),
        battery.Output((4, 6, 16)),
    ),
    "relative": battery.Case(
        RelativePositionBias,
        {"grid_size": (2, 3), "num_heads": 2, "prefix": False},
        (INDEX,),
        battery.Output((4, 2, 6, 6)),
        trainable={"table": (15, 2)},
        symbolic_shapes=((None, None),),
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_norm():
    layer = LayerNormalization()
    layer(TOKENS)
    layer.gamma.assign(np.full(16, 2.0))
    layer.beta.assign(np.full(16, 3.0))
    small = 1e-3 * TOKENS
    expected = (small - small.mean(-1, keepdims=True)) / np.sqrt(
        small.var(-1, keepdims=True) + 1e-6
    )
    np.testing.assert_allclose(
        to_numpy(layer(small)), 2 * expected + 3, atol=1e-5
    )


def test_scale():
    layer = LayerScale(0.1)
    np.testing.assert_allclose(to_numpy(layer(TOKENS)), 0.1 * TOKENS, rtol=1e-5)


def test_prefix():
    layer = PrefixTokens(num_registers=2)
    position = np.ones((1, 16), "float32")
    tokens = to_numpy(layer(TOKENS, position))
    np.testing.assert_array_equal(tokens[:, 3:], TOKENS)
    for sample in tokens:
        np.testing.assert_allclose(
            sample[:1], to_numpy(layer.class_token) + 1.0, rtol=1e-6
        )
        np.testing.assert_array_equal(sample[1:3], to_numpy(layer.registers))


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("kind", ["learned", "sine"])
def test_position_table(kind, class_token):
    layer = PositionTable((2, 3), 8, kind, class_token)
    positions = to_numpy(layer(grid_size=(2, 3)))
    assert positions.shape == (1, 6 + class_token, 8)
    assert len(layer.trainable_weights) == (kind == "learned")
    np.testing.assert_array_equal(positions[0], to_numpy(layer.table))
    np.testing.assert_array_equal(positions, to_numpy(layer()))
    if kind == "sine":
        np.testing.assert_array_equal(
            positions[0, class_token:], sine_positions((2, 3), 8)
        )
        assert not positions[0, : int(class_token)].any()
    larger = to_numpy(layer(grid_size=(4, 5)))
    assert larger.shape == (1, 20 + class_token, 8)
    np.testing.assert_array_equal(
        larger[:, : int(class_token)], positions[:, : int(class_token)]
    )


def test_position_table_stays_exact_in_half_precision():
    layer = PositionTable((2, 3), 8, dtype="mixed_bfloat16")
    assert to_numpy(layer(grid_size=(4, 5))).dtype == "float32"


def test_relative_bias():
    layer = RelativePositionBias((2, 3), 2)
    index = relative_position_index(patch_cells((2, 3))[None], (2, 3), 1)
    assert not to_numpy(layer(index)).any()
    table = GENERATOR.normal(size=(18, 2)).astype("float32")
    layer.table.assign(table)
    bias = to_numpy(layer(index))
    np.testing.assert_array_equal(
        bias, table[to_numpy(index)].transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (keras.optimizers.Adam(0.1), [-0.1, 0.1]),
        (keras.optimizers.SGD(1.0, clipnorm=1.0), [-0.6, 0.8]),
        (keras.optimizers.SGD(1.0, global_clipnorm=1.0), [-0.6, 0.8]),
    ],
)
def test_uses_of_a_relative_bias_are_summed(optimizer, expected):
    """Keras would square TensorFlow's slices, one for each use."""
    inputs = keras.Input((2, 2), dtype="int32")
    layer = RelativePositionBias((1, 1), 1)
    model = keras.Model(inputs, layer(inputs))
    # The first bias is used twice, with gradients of 1 and 2.
    model.compile(optimizer, lambda weights, bias: ops.sum(weights * bias))
    index = np.array([[[0, 0], [1, 2]]], "int32")
    weights = np.array([[[[1, 2], [-4, 0]]]], "float32")
    model.train_on_batch(index, weights)
    np.testing.assert_allclose(
        to_numpy(layer.table)[:2, 0], expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerScale("1"), "`initial_value` must be.*initial_value='1'"),
        (lambda: PrefixTokens(True, -1), "`num_registers`.*num_registers=-1"),
        (lambda: PositionTable((2, 3), 8, "cosine"), "`kind`.*kind='cosine'"),
        (lambda: PositionTable((2, 0), 8), "`grid_size`.*grid_size=0"),
        (
            lambda: PositionTable((2, 3), 8, interpolation_offset=-1.0),
            "`interpolation_offset` must be 0 or a positive.*-1.0",
        ),
        (lambda: RelativePositionBias((2, 3), 0), "`num_heads`.*num_heads=0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
