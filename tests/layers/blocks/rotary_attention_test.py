import dataclasses

import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery
from layers import numpy_attention

from keras_capi.layers import RotaryAttention

# The shapes of the block's tests: JAX compiles each operation for each shape.
GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
COORDINATES = GENERATOR.uniform(size=(4, 6, 2)).astype("float32")
# Cross-attention: another number of tokens, another width, other places.
CONTEXT = GENERATOR.normal(size=(4, 5, 12)).astype("float32")
POSITIONS = GENERATOR.uniform(size=(4, 5, 2)).astype("float32")

CASES = {
    "self": battery.Case(
        RotaryAttention,
        {"num_heads": 2},
        (TOKENS, COORDINATES),
        battery.Output((4, 6, 16)),
        trainable={
            "query_key_value/kernel": (16, 48),
            "output_projection/kernel": (16, 16),
        },
        non_trainable={"rotary_frequencies": (2, 8)},
        symbolic_shapes=((None, 16), (None, 2)),
    ),
    "cross": battery.Case(
        RotaryAttention,
        {"num_heads": 2},
        (TOKENS, COORDINATES, CONTEXT, POSITIONS),
        battery.Output((4, 6, 16)),
        trainable={
            "query/kernel": (16, 16),
            "key_value/kernel": (12, 32),
            "output_projection/kernel": (16, 16),
        },
        non_trainable={"rotary_frequencies": (2, 8)},
    ),
}
DROPPING = dataclasses.replace(
    CASES["self"],
    arguments={"num_heads": 2, "attention_dropout_rate": 0.3, "seed": 5},
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery_with_dropout(check):
    check(DROPPING)


def test_drops_what_a_sample_says():
    layer = RotaryAttention(2)
    factors = np.zeros((4, 2, 6, 6), "float32")
    factors[..., 3] = 1.25
    outputs = to_numpy(
        layer(TOKENS, COORDINATES, attention_dropout_sample=factors)
    )
    # Each token sees that one alone: other values change nothing.
    weights = to_numpy(layer.attention_weights(TOKENS, COORDINATES))[..., 3]
    values = to_numpy(layer.query_key_value(TOKENS))[:, 3, 32:]
    values = 1.25 * np.einsum(
        "bhq,bhd->bqhd", weights, values.reshape(4, 2, 8)
    ).reshape(4, 6, 16)
    expected = values @ to_numpy(layer.output_projection.kernel)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_equals_numpy(case):
    inputs = CASES[case].inputs
    layer = RotaryAttention(2)
    outputs = to_numpy(layer(*inputs))
    # Larger weights make attention pick, so that wrong scores would show.
    for weight in layer.trainable_weights:
        weight.assign(2.0 * to_numpy(weight))
    outputs = to_numpy(layer(*inputs))
    expected = numpy_attention.run_layer(layer, *inputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    assert np.abs(expected).max() > 1


def test_one_set_of_coordinates_serves_all_samples():
    layer = RotaryAttention(2)
    outputs = layer(TOKENS, COORDINATES[:1])
    repeated = layer(TOKENS, np.repeat(COORDINATES[:1], 4, axis=0))
    np.testing.assert_allclose(to_numpy(outputs), to_numpy(repeated), atol=1e-6)


def test_positions_come_from_coordinates_alone():
    layer = RotaryAttention(2)
    outputs = to_numpy(layer(TOKENS, COORDINATES))
    order = np.array([3, 1, 5, 0, 4, 2])
    permuted = layer(TOKENS[:, order], COORDINATES[:, order])
    np.testing.assert_allclose(to_numpy(permuted), outputs[:, order], atol=1e-5)
    elsewhere = to_numpy(layer(TOKENS, COORDINATES[:, order]))
    assert np.abs(elsewhere - outputs).max() > 0.01


def test_half_precision_does_not_round_coordinates():
    layer = RotaryAttention(2, dtype="mixed_bfloat16")
    layer(TOKENS, COORDINATES)
    # With one channel pair of one frequency, and places closer than bfloat16
    # can tell apart, angles differ by pi only if coordinates are exact.
    places = np.zeros((4, 6, 2), "float32")
    places[:, :, 0] = 0.8 + 0.0005 * np.arange(6)
    frequencies = to_numpy(layer.rotary_frequencies).copy()
    layer.rotary_frequencies.assign(frequencies * 142.9)
    exact = RotaryAttention(2)
    exact(TOKENS, COORDINATES)
    for own, other in zip(exact.weights, layer.weights, strict=True):
        own.assign(to_numpy(other))
    np.testing.assert_allclose(
        to_numpy(layer(TOKENS, places)).astype("float32"),
        to_numpy(exact(TOKENS, places)),
        atol=0.03,
    )


@pytest.mark.parametrize("case", CASES)
def test_fused_projections_start_like_separate_ones(case):
    layer = RotaryAttention(4)
    shapes = [(None, None, 256)]
    if case == "cross":
        shapes += [None, (None, None, 128)]
    layer.build(*shapes)
    for weight in layer.trainable_weights:
        # Each part maps to 256 channels.
        bound = np.sqrt(6 / (weight.shape[0] + 256))
        parts = np.split(to_numpy(weight), weight.shape[1] // 256, axis=1)
        for part in parts:
            assert 0.999 * bound < np.abs(part).max() <= bound
            assert abs(part.std() / bound - 1 / np.sqrt(3)) < 0.01


def test_cannot_change_between_self_and_cross_attention():
    layer = RotaryAttention(2)
    layer(TOKENS, COORDINATES)
    with pytest.raises(ValueError, match="cannot change.*context="):
        layer(TOKENS, COORDINATES, CONTEXT, POSITIONS)
    layer = RotaryAttention(2)
    layer(TOKENS, COORDINATES, CONTEXT, POSITIONS)
    with pytest.raises(ValueError, match="cannot change.*context=None"):
        layer(TOKENS, COORDINATES)


@pytest.mark.parametrize("num_heads", [0, -2, 2.0, "2"])
def test_bad_number_of_heads(num_heads):
    message = "`num_heads` must be a positive integer.*num_heads="
    with pytest.raises(ValueError, match=f"{message}{num_heads!r}"):
        RotaryAttention(num_heads)


@pytest.mark.parametrize(
    ("num_heads", "message"),
    [
        (3, "`num_heads` must divide the width.*num_heads=3, width=16"),
        (8, "divisible by 4.*num_heads=8, width=16, head size 2"),
    ],
)
def test_bad_width(num_heads, message):
    layer = RotaryAttention(num_heads)
    with pytest.raises(ValueError, match=message):
        layer.build((None, None, 16))


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_attention_weights_are_those_of_the_call(kind):
    inputs = CASES[kind].inputs
    layer = RotaryAttention(2)
    outputs = to_numpy(layer(*inputs))
    weights = to_numpy(layer.attention_weights(*inputs))
    others = inputs[2 if kind == "cross" else 0]
    assert weights.shape == (4, 2, 6, others.shape[1])
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)
    dense = layer.key_value if kind == "cross" else layer.query_key_value
    value = (others @ to_numpy(dense.kernel))[..., -16:]
    value = value.reshape(*value.shape[:2], 2, 8)
    attended = np.einsum("bhqk,bkhd->bqhd", weights, value).reshape(4, 6, 16)
    expected = attended @ to_numpy(layer.output_projection.kernel)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_frequencies_train_if_asked_before_or_after_the_build():
    for is_early in (True, False):
        layer = RotaryAttention(2)
        if not is_early:
            layer.build((None, 6, 16))
        layer.trains_frequencies = True
        if is_early:
            layer.build((None, 6, 16))
        assert layer.rotary_frequencies.trainable
        layer.trainable = False
        assert not layer.rotary_frequencies.trainable


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="The others know which weights are frozen.",
)
@pytest.mark.parametrize("trains", [False, True])
def test_gradient_of_frequencies_is_computed_only_to_train_them(trains):
    import tensorflow as tf

    layer = RotaryAttention(2)
    layer.trains_frequencies = trains
    layer.build((None, 6, 16))
    with tf.GradientTape() as tape:
        total = keras.ops.sum(layer(TOKENS, COORDINATES))
    gradient = tape.gradient(total, layer.rotary_frequencies.value)
    assert (gradient is not None) == trains


def test_missing_coordinates():
    layer = RotaryAttention(2)
    with pytest.raises(ValueError, match="needs `context_coordinates`"):
        layer(TOKENS, COORDINATES, CONTEXT)
    with pytest.raises(ValueError, match="needs `coordinates`"):
        layer(TOKENS, None, CONTEXT, POSITIONS)
