import numpy as np
import pytest
from backend_helpers import layer_gradients
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import RegisterTokens
from keras_capi.ops import patch_coordinates

TOKENS = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
# The patches of each image are somewhere else.
COORDINATES = np.random.default_rng(1).uniform(size=(2, 6, 2)).astype("float32")


def make_case(num_registers, weights, fixed=None, **arguments):
    count = num_registers + 6
    return battery.Case(
        RegisterTokens,
        {"num_registers": num_registers, **arguments},
        (TOKENS, COORDINATES),
        (
            battery.Output((2, count, 8)),
            battery.Output((2, count, 2), "float32"),
        ),
        trainable=weights,
        non_trainable=fixed or {},
    )


CASES = {
    "edge": make_case(4, {"registers": (4, 8)}),
    "zeros": make_case(
        8, {"registers": (8, 8)}, coordinates="zeros", scale_to_visible=False
    ),
    "none": make_case(0, {}, fixed={"registers": (0, 8)}),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_prepends_the_same_tokens_to_every_sample():
    layer = RegisterTokens(4)
    tokens, coordinates = map(to_numpy, layer(TOKENS, COORDINATES))
    registers = to_numpy(layer.registers)
    for sample in range(2):
        np.testing.assert_array_equal(tokens[sample, :4], registers)
    np.testing.assert_array_equal(tokens[:, 4:], TOKENS)
    np.testing.assert_array_equal(coordinates[:, 4:], COORDINATES)


def test_scales_coordinates_to_the_bounding_box_of_each_sample():
    _, coordinates = RegisterTokens(4)(TOKENS, COORDINATES)
    low = COORDINATES.min(axis=1, keepdims=True)
    high = COORDINATES.max(axis=1, keepdims=True)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_allclose(
        to_numpy(coordinates)[:, :4], low + corners * (high - low), atol=1e-6
    )


def test_equals_the_published_coordinates(reference):
    layer = RegisterTokens(8)
    layer.build((None, None, 48))
    layer.registers.assign(reference["weights/backbone.registers"][0])
    tokens, coordinates = layer(
        reference["masked/tokens"][:, 8:], reference["masked/coords"][:, 8:]
    )
    np.testing.assert_allclose(
        to_numpy(coordinates), reference["masked/coords"], atol=1e-6
    )
    np.testing.assert_array_equal(to_numpy(tokens), reference["masked/tokens"])


@pytest.mark.parametrize("scale_to_visible", [False, True])
def test_one_set_of_coordinates_serves_all_samples(scale_to_visible):
    layer = RegisterTokens(4, scale_to_visible=scale_to_visible)
    tokens, coordinates = layer(TOKENS, patch_coordinates((2, 3))[None])
    assert tuple(tokens.shape) == (2, 10, 8)
    corners = [[0, 0], [1, 0], [1, 1], [0, 1]]
    np.testing.assert_array_equal(to_numpy(coordinates)[:, :4], [corners])


def test_without_scaling_the_edge_of_the_image():
    _, coordinates = RegisterTokens(8, scale_to_visible=False)(
        TOKENS, COORDINATES
    )
    edge = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1]]
    edge = [*edge, [0, 0.5]]
    np.testing.assert_array_equal(to_numpy(coordinates)[:, :8], [edge, edge])


def test_zeros_are_scaled_to_the_first_corner():
    _, coordinates = RegisterTokens(4, "zeros")(TOKENS, COORDINATES)
    low = COORDINATES.min(axis=1, keepdims=True)
    np.testing.assert_array_equal(
        to_numpy(coordinates)[:, :4], np.repeat(low, 4, axis=1)
    )


def test_half_precision_does_not_round_coordinates():
    layer = RegisterTokens(4, dtype="mixed_bfloat16")
    _, coordinates = layer(TOKENS, COORDINATES)
    np.testing.assert_array_equal(to_numpy(coordinates)[:, 4:], COORDINATES)


def test_registers_are_learnt():
    layer = RegisterTokens(4)
    layer(TOKENS, COORDINATES)
    _, gradients = layer_gradients(
        layer, lambda outputs: ops.sum(outputs[0][:, :4]), TOKENS, COORDINATES
    )
    # The sum over the samples.
    np.testing.assert_array_equal(gradients["registers"], np.full((4, 8), 2.0))


def test_initial_registers():
    layer = RegisterTokens(64)
    layer.build((None, None, 256))
    registers = to_numpy(layer.registers)
    assert 0.0195 < registers.std() < 0.0205
    # Not truncated at two standard deviations.
    assert np.abs(registers).max() > 0.06


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6,), "`num_registers` must be divisible by 4.*num_registers=6"),
        ((-4,), "`num_registers` must be divisible by 4.*num_registers=-4"),
        ((4, "ring"), "'edge', 'zeros'.*register_coordinates='ring'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegisterTokens(*arguments)
