import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import Attention

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
CONTEXT = GENERATOR.normal(size=(4, 5, 12)).astype("float32")
BIAS = GENERATOR.normal(size=(1, 2, 6, 6)).astype("float32")
MASK = GENERATOR.uniform(size=(4, 6, 6)) < 0.5
MASK |= np.eye(6, dtype=bool)

SELF = {
    "query_key_value/kernel": (16, 48),
    "query_key_value/bias": (48,),
    "output_projection/kernel": (16, 16),
    "output_projection/bias": (16,),
}
NO_KEY_BIAS = {
    "query_bias": (16,),
    "value_bias": (16,),
    **{k: v for k, v in SELF.items() if k != "query_key_value/bias"},
}


def make_case(arguments, inputs, trainable, **options):
    return battery.Case(
        Attention,
        {"num_heads": 2, **arguments},
        inputs,
        battery.Output((4, 6, 16)),
        trainable=trainable,
        **options,
    )


CASES = {
    "self": make_case({}, (TOKENS,), SELF, symbolic_shapes=((None, 16),)),
    "no_key_bias": make_case({"use_key_bias": False}, (TOKENS,), NO_KEY_BIAS),
    "cross": make_case(
        {"use_bias": False},
        (TOKENS, CONTEXT),
        {
            "query/kernel": (16, 16),
            "key_value/kernel": (12, 32),
            "output_projection/kernel": (16, 16),
        },
    ),
    "causal": make_case({"causal": True}, (TOKENS,), SELF),
    "dropout": make_case(
        {"attention_dropout_rate": 0.3, "seed": 5},
        (TOKENS,),
        SELF,
        is_random=True,
        training=True,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def make_layer(inputs=(TOKENS,), **arguments):
    """A layer all of whose weights are random, biases included."""
    layer = Attention(2, **arguments)
    layer(*inputs)
    for weight in layer.weights:
        weight.assign(0.4 * GENERATOR.normal(size=weight.shape))
    return layer


def heads_of(layer, x, dense, biases):
    kernel = to_numpy(dense.kernel)
    bias = np.zeros(kernel.shape[1])
    if dense.use_bias:
        bias = to_numpy(dense.bias)
    if layer.query_bias is not None:
        names = {"q": layer.query_bias, "v": layer.value_bias}
        parts = [
            to_numpy(names[b]) if b in names else 0 * bias[:16] for b in biases
        ]
        bias = np.concatenate(parts)
    heads = (x @ kernel + bias).reshape(*x.shape[:2], -1, 8)
    return np.split(heads, len(biases), axis=2)


def attend(layer, x, context=None, bias=0.0, mask=None, factors=1.0):
    if context is None:
        query, key, value = heads_of(layer, x, layer.query_key_value, "qkv")
    else:
        (query,) = heads_of(layer, x, layer.query, "q")
        key, value = heads_of(layer, context, layer.key_value, "kv")
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) / 8**0.5 + bias
    if mask is not None:
        scores = np.where(mask[:, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    attended = np.einsum("bhqk,bkhd->bqhd", weights * factors, value)
    attended = attended.reshape(4, 6, 16)
    output = layer.output_projection
    result = attended @ to_numpy(output.kernel)
    return weights, result + (to_numpy(output.bias) if layer.use_bias else 0)


KINDS = {
    "all_biases": {},
    "no_key_bias": {"use_key_bias": False},
    "no_biases": {"use_bias": False},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [(TOKENS,), (TOKENS, CONTEXT)])
def test_equals_numpy(kind, inputs):
    layer = make_layer(inputs, **KINDS[kind])
    weights, expected = attend(layer, *inputs)
    np.testing.assert_allclose(to_numpy(layer(*inputs)), expected, atol=1e-4)
    np.testing.assert_allclose(
        to_numpy(layer.attention_weights(*inputs)), weights, atol=1e-5
    )


def check_equals_numpy(layer, bias, mask, expected_mask, factors=None):
    weights, expected = attend(
        layer,
        TOKENS,
        bias=0.0 if bias is None else bias,
        mask=expected_mask,
        factors=1.0 if factors is None else factors,
    )
    arguments = {"attention_bias": bias, "attention_mask": mask}
    outputs = layer(TOKENS, attention_dropout_sample=factors, **arguments)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-4)
    np.testing.assert_allclose(
        to_numpy(layer.attention_weights(TOKENS, **arguments)),
        weights,
        atol=1e-5,
    )


@pytest.mark.parametrize("bias", [None, BIAS, np.repeat(BIAS, 4, axis=0)])
@pytest.mark.parametrize("mask", [None, MASK, MASK[:1]])
def test_bias_and_mask(bias, mask):
    check_equals_numpy(make_layer(), bias, mask, mask)


@pytest.mark.parametrize("bias", [None, BIAS])
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("drops", [False, True])
def test_causal_is_one_more_mask(bias, mask, drops):
    layer = make_layer(causal=True)
    factors = np.random.default_rng(2).uniform(size=(4, 2, 6, 6))
    factors = factors.astype("float32") if drops else None
    order = np.tril(np.ones((1, 6, 6), bool))
    seen = order if mask is None else order & mask
    check_equals_numpy(layer, bias, mask, seen, factors)


@pytest.mark.parametrize("causal", [False, True])
def test_next_token_sees_those_before(causal):
    layer = make_layer(causal=causal)
    whole = to_numpy(make_causal(layer)(TOKENS))
    caches = [np.zeros((4, 6, 2, 8), "float32")] * 2
    for place in range(6):
        token = TOKENS[:, place : place + 1]
        attended, *caches = layer.attend_next(token, *caches, place)
        np.testing.assert_allclose(
            to_numpy(attended)[:, 0], whole[:, place], atol=1e-4
        )


def make_causal(layer):
    """Returns a layer of the same weights that is causal."""
    causal = Attention.from_config({**layer.get_config(), "causal": True})
    causal(TOKENS)
    causal.set_weights(layer.get_weights())
    return causal


@pytest.mark.parametrize("bias", [None, BIAS])
def test_a_mask_hides_in_half_precision(bias):
    layer = Attention(2, dtype="mixed_bfloat16")
    layer(TOKENS)
    changed = TOKENS.copy()
    changed[:, 3:] += 5.0
    mask = np.zeros((1, 6, 6), bool)
    mask[:, :, :3] = True
    outputs, others = (
        to_numpy(layer(x, attention_bias=bias, attention_mask=mask))[:, :3]
        for x in (TOKENS, changed)
    )
    np.testing.assert_array_equal(outputs, others)


@pytest.mark.parametrize("inputs", [(TOKENS,), (TOKENS, CONTEXT)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_dropout_is_of_the_weights_behind_softmax(inputs, dtype):
    layer = make_layer(inputs, dtype=dtype)
    size = inputs[-1].shape[1]
    factors = GENERATOR.choice([0.0, 1.25], p=[0.2, 0.8], size=(4, 2, 6, size))
    factors = factors.astype("float32")
    arguments = {"bias": BIAS[..., :size], "mask": MASK[..., :size]}
    arguments["mask"][..., 0] = True
    _, expected = attend(layer, *inputs, **arguments, factors=factors)
    outputs = layer(
        *inputs,
        **{f"attention_{name}": value for name, value in arguments.items()},
        attention_dropout_sample=factors,
    )
    tolerance = 1e-4 if dtype == "float32" else 0.02
    np.testing.assert_allclose(
        to_numpy(outputs).astype("float32"),
        expected,
        atol=tolerance * np.abs(expected).max(),
    )


def test_drops_in_training_alone():
    layer, other = (
        Attention(2, attention_dropout_rate=0.5, seed=3) for _ in range(2)
    )
    for attention in (layer, other):
        attention.build(TOKENS.shape)
        attention.set_weights([np.ones(x.shape) for x in layer.weights])
    fast = to_numpy(layer(TOKENS, training=False))
    np.testing.assert_array_equal(to_numpy(layer(TOKENS)), fast)
    # What it looked at was nothing random.
    weights = to_numpy(layer.attention_weights(TOKENS))
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)
    first, second = (to_numpy(layer(TOKENS, training=True)) for _ in range(2))
    assert np.abs(first - fast).max() > 0.1
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(to_numpy(other(TOKENS, training=True)), first)
    calls = [to_numpy(layer(TOKENS, training=True)) for _ in range(400)]
    error = np.abs(np.mean(calls, axis=0) - fast).max()
    assert error < 0.3 * np.std(calls, axis=0).max()


def test_fused_projections_start_as_one_or_like_separate_ones():
    parts, whole = (
        Attention(4),
        Attention(4, kernel_initializer="glorot_uniform"),
    )
    for layer, fan_out in ((parts, 256), (whole, 3 * 256)):
        layer.build((None, None, 256))
        bound = np.sqrt(6 / (256 + fan_out))
        kernel = to_numpy(layer.query_key_value.kernel)
        assert 0.999 * bound < np.abs(kernel).max() <= bound


def test_bad_arguments():
    with pytest.raises(ValueError, match="`num_heads` must be.*num_heads=0"):
        Attention(0)
    with pytest.raises(ValueError, match="divide the width.*num_heads=3"):
        Attention(3)(TOKENS)
    with pytest.raises(ValueError, match="`attention_dropout_rate`.*rate=1.0"):
        Attention(2, attention_dropout_rate=1.0)
    with pytest.raises(ValueError, match="`causal` is for self-attention"):
        Attention(2, causal=True)(TOKENS, CONTEXT)
    layer = Attention(2)
    layer(TOKENS)
    with pytest.raises(ValueError, match="`Attention`.*cannot change"):
        layer(TOKENS, CONTEXT)
