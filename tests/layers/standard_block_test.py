"""The transformer block as a standard vision transformer has it."""

import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import DropPath
from keras_capi.layers import TransformerBlock
from keras_capi.layers.blocks.block_stack import block_attention
from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import make_caches
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.block_stack import run_blocks_on_next
from keras_capi.layers.blocks.block_stack import run_perceptrons

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
COORDINATES = GENERATOR.uniform(size=(4, 6, 2)).astype("float32")
BIAS = GENERATOR.normal(size=(4, 2, 6, 6)).astype("float32")
MASK = np.tril(np.ones((1, 6, 6), bool))
STANDARD = {
    "num_heads": 2,
    "rotary": False,
    "normalization": "layer",
    "use_bias": True,
}
CASE = battery.Case(
    TransformerBlock,
    {**STANDARD, "layer_scale": 0.1},
    (TOKENS,),
    battery.Output((4, 6, 16)),
    trainable={
        "attention_norm/gamma": (16,),
        "attention_norm/beta": (16,),
        "attention/query_key_value/kernel": (16, 48),
        "attention/query_key_value/bias": (48,),
        "attention/output_projection/kernel": (16, 16),
        "attention/output_projection/bias": (16,),
        "attention_scale/gamma": (16,),
        "mlp_norm/gamma": (16,),
        "mlp_norm/beta": (16,),
        "mlp_hidden/kernel": (16, 64),
        "mlp_hidden/bias": (64,),
        "mlp_output/kernel": (64, 16),
        "mlp_output/bias": (16,),
        "mlp_scale/gamma": (16,),
    },
    symbolic_shapes=((None, 16),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def make_block(**arguments):
    """A built block all of whose weights are random."""
    block = TransformerBlock(**{**STANDARD, **arguments})
    block.build((None, None, 16))
    for weight in block.weights:
        weight.assign(0.4 * GENERATOR.normal(size=weight.shape))
    return block


def normalize(x, norm):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    return x * to_numpy(norm.gamma) + to_numpy(norm.beta)


def expected_output(block, x, scales=(1.0, 1.0), **arguments):
    attended = to_numpy(
        block.attention(
            normalize(x, block.attention_norm).astype("float32"), **arguments
        )
    )
    x = x + scales[0] * attended * to_numpy(block.attention_scale.gamma)
    branch = perceptron(block, normalize(x, block.mlp_norm))
    return x + scales[1] * branch * to_numpy(block.mlp_scale.gamma)


def perceptron(block, x):
    hidden = x @ to_numpy(block.mlp_hidden.kernel)
    hidden = hidden + to_numpy(block.mlp_hidden.bias)
    hidden = to_numpy(ops.gelu(hidden.astype("float32"), approximate=False))
    branch = hidden @ to_numpy(block.mlp_output.kernel)
    return branch + to_numpy(block.mlp_output.bias)


def expected_of_post_norm(block, x, scales=(1.0, 1.0), **arguments):
    attended = to_numpy(block.attention(x.astype("float32"), **arguments))
    x = normalize(x + scales[0] * attended, block.attention_norm)
    return normalize(x + scales[1] * perceptron(block, x), block.mlp_norm)


ARGUMENTS = [
    {},
    {"attention_bias": BIAS},
    {"attention_mask": MASK},
    {"attention_bias": BIAS[:1], "attention_mask": MASK},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_equals_numpy(arguments):
    block = make_block(layer_scale=0.1)
    np.testing.assert_allclose(
        to_numpy(block(TOKENS, **arguments)),
        expected_output(block, TOKENS, **arguments),
        atol=1e-4,
    )


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_norms_that_come_last(arguments):
    block = make_block(post_norm=True)
    np.testing.assert_allclose(
        to_numpy(block(TOKENS, **arguments)),
        expected_of_post_norm(block, TOKENS, **arguments),
        atol=1e-4,
    )


def test_norms_that_come_last_take_branches_or_none():
    block = make_block(post_norm=True)
    scales = 2.0 * np.array([[1, 0, 1, 0], [0, 0, 1, 1]])[..., None, None]
    expected = expected_of_post_norm(block, TOKENS, scales)
    subsets = np.array([[2, 0], [3, 2]], "int32")
    for sample in (subsets, scales[..., 0, 0].astype("float32")):
        outputs = to_numpy(block(TOKENS, drop_path_sample=sample))
        np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_inside_blocks_whose_norms_come_last():
    """Perceptrons, attention, and one token after the other."""
    blocks = [make_block(post_norm=True) for _ in range(2)]
    first = expected_of_post_norm(blocks[0], TOKENS).astype("float32")
    attended = to_numpy(blocks[1].attention(first)) + first
    tokens = normalize(attended, blocks[1].attention_norm)
    _, added = run_perceptrons(blocks, TOKENS)
    expected = perceptron(blocks[1], tokens)
    np.testing.assert_allclose(to_numpy(added), expected, atol=1e-3)
    np.testing.assert_allclose(
        to_numpy(block_attention(blocks, TOKENS, 2)),
        to_numpy(blocks[1].attention.attention_weights(first)),
        atol=1e-4,
    )
    expected = to_numpy(blocks[0](TOKENS, attention_mask=MASK))
    caches = make_caches(blocks[:1], 4, 6)
    for place in range(6):
        token = ops.convert_to_tensor(TOKENS[:, place : place + 1])
        output, caches = run_blocks_on_next(blocks[:1], token, caches, place)
        np.testing.assert_allclose(
            to_numpy(output), expected[:, place : place + 1], atol=1e-4
        )


def test_a_gate_instead_of_gelu():
    block = make_block(activation="swiglu")
    # About two thirds of 64, a multiple of 8, and as many gates.
    assert tuple(block.mlp_hidden.kernel.shape) == (16, 2 * 48)
    attended = to_numpy(block.attend(TOKENS)) + TOKENS
    hidden = normalize(attended, block.mlp_norm).astype("float32")
    hidden = to_numpy(block.mlp_hidden(hidden))
    gate, values = np.split(hidden, 2, axis=-1)
    hidden = gate / (1 + np.exp(-gate)) * values
    expected = attended + to_numpy(block.mlp_output(hidden))
    np.testing.assert_allclose(to_numpy(block(TOKENS)), expected, atol=1e-3)
    clone = TransformerBlock.from_config(block.get_config())
    assert clone.activation == "swiglu"
    block = make_block(activation="swiglu", mlp_dim=24)
    assert tuple(block.mlp_output.kernel.shape) == (24, 16)
    with pytest.raises(ValueError, match="`activation` must be one of.*'relu'"):
        make_block(activation="relu")


def test_a_sample_takes_its_own_bias():
    block = make_block(layer_scale=0.1)
    sample = np.array([[2, 0], [3, 2]], "int32")
    scales = 2.0 * np.array([[1, 0, 1, 0], [0, 0, 1, 1]])[..., None, None]
    outputs = block(TOKENS, drop_path_sample=sample, attention_bias=BIAS)
    np.testing.assert_allclose(
        to_numpy(outputs),
        expected_output(block, TOKENS, scales, attention_bias=BIAS),
        atol=1e-4,
    )


def test_layer_norms_add_little():
    block = make_block()
    for norm in (block.attention_norm, block.mlp_norm):
        assert norm.epsilon == 1e-6


def test_a_rotary_block_takes_bias_and_mask():
    block = TransformerBlock(2)
    plain = to_numpy(block(TOKENS, COORDINATES))
    for arguments in ARGUMENTS[1:]:
        outputs = to_numpy(block(TOKENS, COORDINATES, **arguments))
        assert np.abs(outputs - plain).max() > 0.01
        changed = TOKENS.copy()
        changed[:, -1] += 1.0
        if "attention_mask" in arguments:
            others = to_numpy(block(changed, COORDINATES, **arguments))
            np.testing.assert_allclose(
                others[:, :-1], outputs[:, :-1], atol=1e-6
            )


def test_rematerialisation_passes_bias_and_mask_on():
    with keras.RematScope(mode="full"):
        block = make_block(layer_scale=0.1)
    for arguments in ARGUMENTS:
        np.testing.assert_allclose(
            to_numpy(block(TOKENS, **arguments)),
            expected_output(block, TOKENS, **arguments),
            atol=1e-4,
        )


def test_kernels_start_differently():
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    blocks = make_blocks(2, **STANDARD, kernel_initializer=initializer)
    kernels = []
    for block in blocks:
        block.build((None, None, 16))
        kernels += [dense.kernel for dense in block.projections]
    starts = [to_numpy(kernel).ravel()[:4] for kernel in kernels]
    for index, start in enumerate(starts):
        assert 0 < np.abs(start).max() < 0.1
        for other in starts[:index]:
            assert (start != other).all()


def test_blocks_in_a_row():
    blocks = [make_block(layer_scale=0.1) for _ in range(3)]
    biases = [BIAS, 2.0 * BIAS, 3.0 * BIAS]
    outputs = run_blocks(
        blocks, TOKENS, attention_biases=biases, attention_mask=MASK
    )
    x = TOKENS
    for block, bias, output in zip(blocks, biases, outputs, strict=True):
        x = to_numpy(block(x, attention_bias=bias, attention_mask=MASK))
        np.testing.assert_array_equal(to_numpy(output), x)


def test_stochastic_depth_of_each_block():
    blocks = [make_block(layer_scale=0.1) for _ in range(2)]
    x = np.repeat(TOKENS, 50, axis=0)
    drop_path = DropPath(0.5, "naive", seed=0)
    first, second = (
        to_numpy(output)
        for output in run_blocks(blocks, x, drop_path, [0.0, 0.5])
    )
    np.testing.assert_allclose(first, to_numpy(blocks[0](x)), atol=1e-5)
    unchanged = (np.abs(second - first).max(axis=(1, 2)) < 1e-6).mean()
    # Both branches are skipped.
    assert 0.15 < unchanged < 0.35


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalization": "batch"}, "`normalization`.*normalization='batch'"),
        ({"layer_scale": "1"}, "`layer_scale` must be.*layer_scale='1'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransformerBlock(2, **arguments)
