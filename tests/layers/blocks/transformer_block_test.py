import math

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_layer
from helpers import to_numpy
from layers import battery
from layers import numpy_attention

from keras_capi.layers import AttentionDropout
from keras_capi.layers import DropPath
from keras_capi.layers import TransformerBlock
from keras_capi.layers.related_seed import related_seed

GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.normal(size=(4, 6, 16)).astype("float32")
COORDINATES = GENERATOR.uniform(size=(4, 6, 2)).astype("float32")
CONTEXT = GENERATOR.normal(size=(4, 5, 12)).astype("float32")
POSITIONS = GENERATOR.uniform(size=(4, 5, 2)).astype("float32")
INPUTS = {
    "self": (TOKENS, COORDINATES),
    "cross": (TOKENS, COORDINATES, CONTEXT, POSITIONS),
}

COMMON_WEIGHTS = {
    "attention_norm/scale": (16,),
    "attention/output_projection/kernel": (16, 16),
    "mlp_norm/scale": (16,),
    "mlp_hidden/kernel": (16, 64),
    "mlp_output/kernel": (64, 16),
}
SELF_WEIGHTS = {"attention/query_key_value/kernel": (16, 48), **COMMON_WEIGHTS}
CROSS_WEIGHTS = {
    "attention/query/kernel": (16, 16),
    "attention/key_value/kernel": (12, 32),
    **COMMON_WEIGHTS,
}


def make_case(kind, weights, arguments=(), **options):
    return battery.Case(
        TransformerBlock,
        {"num_heads": 2, **dict(arguments)},
        INPUTS[kind],
        battery.Output((4, 6, 16)),
        trainable=weights,
        non_trainable={"attention/rotary_frequencies": (2, 8)},
        **options,
    )


CASES = {
    "self": make_case(
        "self", SELF_WEIGHTS, symbolic_shapes=((None, 16), (None, 2))
    ),
    "cross": make_case("cross", CROSS_WEIGHTS),
    "dropout": make_case(
        "cross",
        CROSS_WEIGHTS,
        {"attention_dropout_rate": 0.3, "seed": 3},
        is_random=True,
        training=True,
    ),
    **{
        f"{kind}_{method}": make_case(
            kind,
            weights,
            {"drop_path_rate": 0.5, "drop_path_method": method, "seed": 3},
            is_random=True,
            training=True,
            # Branches count double.
            tolerance=0.06,
        )
        for kind, weights, method in (
            ("self", SELF_WEIGHTS, "naive"),
            ("cross", CROSS_WEIGHTS, "efficient"),
        )
    },
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_width_of_the_perceptron():
    block = TransformerBlock(2, mlp_dim=8)
    block.build((None, None, 16))
    assert tuple(block.mlp_hidden.kernel.shape) == (16, 8)
    assert tuple(block.mlp_output.kernel.shape) == (8, 16)
    clone = TransformerBlock.from_config(block.get_config())
    assert clone.mlp_dim == 8


def normalize(x, scale):
    mean_square = np.mean(x**2, axis=-1, keepdims=True)
    return x / np.sqrt(mean_square + 1e-5) * to_numpy(scale)


def attention_branch(block, x, *arguments):
    normalized = normalize(x, block.attention_norm.scale)
    return numpy_attention.run_layer(block.attention, normalized, *arguments)


def mlp_branch(block, x):
    hidden = normalize(x, block.mlp_norm.scale)
    hidden = hidden @ to_numpy(block.mlp_hidden.kernel)
    error_function = np.vectorize(math.erf)(hidden / np.sqrt(2))
    hidden = 0.5 * hidden * (1 + error_function)
    return hidden @ to_numpy(block.mlp_output.kernel)


def make_block(kind, **arguments):
    """A built block whose norms have scales other than 1."""
    block = TransformerBlock(2, **arguments)
    block(*INPUTS[kind])
    generator = np.random.default_rng(2)
    for norm in (block.attention_norm, block.mlp_norm):
        norm.scale.assign(generator.uniform(0.5, 2.0, size=16))
    return block


@pytest.mark.parametrize("kind", INPUTS)
def test_equals_numpy(kind):
    block = make_block(kind)
    x = TOKENS.astype("float64")
    x = x + attention_branch(block, x, *INPUTS[kind][1:])
    x = x + mlp_branch(block, x)
    np.testing.assert_allclose(to_numpy(block(*INPUTS[kind])), x, atol=1e-4)


def test_gelu_is_exact():
    # The approximation with tanh is off by up to 5e-4.
    block = TransformerBlock(2, mlp_dim=16)
    block(TOKENS, COORDINATES)
    block.attention.output_projection.kernel.assign(np.zeros((16, 16)))
    block.mlp_hidden.kernel.assign(np.eye(16))
    block.mlp_output.kernel.assign(np.eye(16))
    outputs = to_numpy(block(TOKENS, COORDINATES))
    np.testing.assert_allclose(
        outputs, TOKENS + mlp_branch(block, TOKENS), atol=2e-5
    )


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", ["efficient", "naive"])
def test_skips_the_branches_of_a_given_sample(kind, method):
    block = make_block(kind)
    if method == "efficient":
        sample = np.array([[2, 0], [3, 2]], "int32")
        scales = 2.0 * np.array([[1, 0, 1, 0], [0, 0, 1, 1]])
    else:
        sample = np.array([[0, 4 / 3, 4 / 3, 4 / 3], [4 / 3, 0, 0, 4 / 3]])
        sample = sample.astype("float32")
        scales = sample
    scales = scales[..., None, None]
    x = TOKENS.astype("float64")
    x = x + scales[0] * attention_branch(block, x, *INPUTS[kind][1:])
    x = x + scales[1] * mlp_branch(block, x)
    outputs = block(*INPUTS[kind], drop_path_sample=sample)
    np.testing.assert_allclose(to_numpy(outputs), x, atol=1e-4)


def test_shared_coordinates_with_a_sample():
    block = make_block("self")
    sample = np.array([[2, 0], [3, 2]], "int32")
    shared = block(TOKENS, COORDINATES[:1], drop_path_sample=sample)
    repeated = np.repeat(COORDINATES[:1], 4, axis=0)
    expected = block(TOKENS, repeated, drop_path_sample=sample)
    np.testing.assert_allclose(to_numpy(shared), to_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("method", ["efficient", "naive"])
def test_draws_a_sample_of_its_own_in_training(method, compilation):
    block = make_block(
        "self", drop_path_rate=0.5, drop_path_method=method, seed=1
    )
    run = compile_layer(block, compilation, training=True)
    x = TOKENS.astype("float64")
    # All four things that can happen to an image.
    attended = [x, x + 2 * attention_branch(block, x, COORDINATES)]
    possible = np.stack(
        [y + scale * mlp_branch(block, y) for y in attended for scale in (0, 2)]
    )
    seen = []
    for _ in range(8):
        outputs = to_numpy(run(TOKENS, COORDINATES))
        errors = np.abs(outputs - possible).max(axis=(2, 3))
        assert errors.min(axis=0).max() < 1e-4
        seen.append(errors.argmin(axis=0))
    seen = np.array(seen)
    assert set(seen.ravel()) == {0, 1, 2, 3}
    if method == "efficient":
        # Exactly half of the samples take each branch.
        assert (np.sum(seen // 2, axis=1) == 2).all()
        assert (np.sum(seen % 2, axis=1) == 2).all()


@pytest.mark.parametrize("method", ["efficient", "naive"])
def test_skips_nothing_at_inference(method):
    block = make_block(
        "self", drop_path_rate=0.5, drop_path_method=method, seed=1
    )
    expected = make_block("self")
    for own, other in zip(expected.weights, block.weights, strict=True):
        own.assign(to_numpy(other))
    np.testing.assert_allclose(
        to_numpy(block(TOKENS, COORDINATES, training=False)),
        to_numpy(expected(TOKENS, COORDINATES, training=True)),
        atol=1e-6,
    )


def test_a_sample_from_drop_path_fits():
    block = make_block("self")
    sample = DropPath(0.5, seed=0).sample(4, 2)
    outputs = block(TOKENS, COORDINATES, drop_path_sample=sample)
    changed = np.abs(to_numpy(outputs) - TOKENS).max(axis=(1, 2)) > 1e-6
    taken = set(to_numpy(sample).ravel().tolist())
    assert set(np.flatnonzero(changed).tolist()) == taken


def test_dropout_by_a_sample_or_of_its_own():
    block = make_block("self", attention_dropout_rate=0.3, seed=3)
    calm, calm_too, dropped, other = (
        to_numpy(block(*INPUTS["self"], training=training))
        for training in (False, None, True, True)
    )
    np.testing.assert_array_equal(calm, calm_too)
    assert np.abs(calm - dropped).max() > 1e-3
    assert np.abs(other - dropped).max() > 1e-3
    sample = AttentionDropout(0.3, related_seed(3, 1)).sample((4, 2, 6, 6))
    given = block(*INPUTS["self"], attention_dropout_sample=sample)
    np.testing.assert_allclose(to_numpy(given), dropped, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"attention_dropout_rate": 0.3},
        {"drop_path_rate": 0.5, "drop_path_method": "naive"},
    ],
)
def test_rematerialisation_changes_no_draw(arguments):
    losses = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        with keras.RematScope(mode=mode):
            block = TransformerBlock(2, rotary=False, seed=3, **arguments)
        inputs = keras.Input((6, 16))
        model = keras.Model(inputs, block(inputs))
        model.compile("adam", "mse")
        losses.append([model.train_on_batch(TOKENS, TOKENS) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[0][0] != losses[0][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "`num_heads` must be a positive.*num_heads=0"),
        (
            {"num_heads": 2, "mlp_dim": 0},
            "`mlp_dim` must be a positive integer.*mlp_dim=0",
        ),
        (
            {"num_heads": 2, "drop_path_rate": 1.0},
            r"`drop_path_rate` must be in \[0, 1\).*rate=1.0",
        ),
        (
            {"num_heads": 2, "drop_path_rate": -0.1},
            r"`drop_path_rate` must be in \[0, 1\).*rate=-0.1",
        ),
        (
            {"num_heads": 2, "attention_dropout_rate": 1.0},
            r"`attention_dropout_rate` must be in \[0, 1\).*rate=1.0",
        ),
        (
            {
                "num_heads": 2,
                "drop_path_rate": 0.1,
                "drop_path_method": "fast",
            },
            "`method` must be one of .*'efficient', 'naive'.*method='fast'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransformerBlock(**arguments)
