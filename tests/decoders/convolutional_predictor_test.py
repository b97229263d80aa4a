import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi import backend
from keras_capi.backend import convolutions
from keras_capi.decoders import ConvolutionalPredictor

TOKENS = np.random.default_rng(2).normal(size=(2, 2, 16)).astype("float32")
INDICES = np.array([[4, 0], [1, 5]], "int32")
CASE = battery.Case(
    ConvolutionalPredictor,
    {
        "hidden_dim": 16,
        "grid_size": (2, 3),
        "num_layers": 1,
        "kernel_size": 2,
        "num_groups": 4,
        "noise_deviation": 0.5,
        "seed": 1,
    },
    (TOKENS, INDICES),
    battery.Output((2, 6, 16)),
    trainable={
        "convolution_0/kernel": (2, 2, 4, 16),
        "convolution_0/bias": (16,),
        "prediction/kernel": (16, 16),
        "prediction/bias": (16,),
    },
)


NARROW = battery.Case(
    ConvolutionalPredictor,
    {
        "hidden_dim": 16,
        "grid_size": (2, 3),
        "num_layers": 2,
        "num_groups": 4,
        "convolution_dim": 8,
        "noise_deviation": 0.0,
    },
    (TOKENS, INDICES),
    battery.Output((2, 6, 16)),
    trainable={
        "convolution_0/kernel": (3, 3, 4, 8),
        "convolution_0/bias": (8,),
        "convolution_1/kernel": (3, 3, 2, 8),
        "convolution_1/bias": (8,),
        "prediction/kernel": (8, 16),
        "prediction/bias": (16,),
    },
)


@pytest.mark.parametrize("case", [CASE, NARROW], ids=["equal", "narrow"])
@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, case):
    check(case)


def make_predictor():
    return ConvolutionalPredictor(
        16, (2, 3), num_layers=2, num_groups=8, noise_deviation=0.5, seed=0
    )


def filled_grid():
    grid = np.zeros((2, 6, 16), "float32")
    for image, picked in enumerate(INDICES):
        grid[image, picked] = TOKENS[image]
    return grid


def test_tokens_are_put_in_place_and_noise_elsewhere():
    predictor, expected = make_predictor(), filled_grid()
    np.testing.assert_array_equal(
        to_numpy(predictor.fill_grid(TOKENS, INDICES, 6)), expected
    )
    first, second = (
        to_numpy(predictor.fill_grid(TOKENS, INDICES, 6, training=True))
        for _ in range(2)
    )
    is_hidden = expected == 0
    for noisy in (first, second):
        np.testing.assert_array_equal(noisy[~is_hidden], expected[~is_hidden])
        assert noisy[is_hidden].std() == pytest.approx(0.5, rel=0.2)
    assert np.abs(first - second)[is_hidden].min() > 0


def test_layers_by_numpy():
    """Groups of two channels, norm without scale, GELU and what came in."""
    predictor = make_predictor()
    x = filled_grid().reshape(2, 2, 3, 16).astype("float64")
    for layer in predictor.convolutions:
        layer.bias.assign(np.linspace(-1, 1, 16))
        kernel = to_numpy(layer.kernel).reshape(3, 3, 2, 8, 2)
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        convolved = sum(
            np.einsum(
                "brcgi,igo->brcgo",
                padded[:, i : i + 2, j : j + 3].reshape(2, 2, 3, 8, 2),
                kernel[i, j],
            )
            for i in range(3)
            for j in range(3)
        ).reshape(x.shape) + np.linspace(-1, 1, 16)
        centered = convolved - convolved.mean(axis=-1, keepdims=True)
        variance = convolved.var(axis=-1, keepdims=True)
        normalized = (centered / np.sqrt(variance + 1e-5)).astype("float32")
        x = x + to_numpy(backend.gelu(keras.ops.convert_to_tensor(normalized)))
    kernel, bias = (to_numpy(w) for w in predictor.prediction.weights)
    np.testing.assert_allclose(
        to_numpy(predictor(TOKENS, INDICES)),
        x.reshape(2, 6, 16) @ kernel + bias,
        atol=1e-4,
    )


def test_first_of_narrow_convolutions_is_not_residual():
    predictor = ConvolutionalPredictor(
        16, (2, 3), num_layers=2, num_groups=4, convolution_dim=8
    )
    grid, residual = filled_grid().reshape(2, 2, 3, 16), 0.0
    for convolution in predictor.convolutions:
        x = to_numpy(convolution(grid))
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)
        x = to_numpy(backend.gelu(keras.ops.convert_to_tensor(x)))
        grid = residual = x + residual
    expected = to_numpy(predictor.prediction(grid)).reshape(2, 6, 16)
    outputs = to_numpy(predictor(TOKENS, INDICES))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden_dim", "convolution_dim", "name"),
    [(18, 16, "hidden_dim"), (16, 18, "convolution_dim")],
)
def test_groups_divide_both_widths(hidden_dim, convolution_dim, name):
    with pytest.raises(ValueError, match=f"`{name}` must be divisible"):
        ConvolutionalPredictor(
            hidden_dim, (2, 3), num_groups=4, convolution_dim=convolution_dim
        )


def test_convolution_as_a_product_is_the_same(monkeypatch):
    """XLA gets it on processors; kernels of even sides are padded alike."""
    rng = np.random.default_rng(0)
    x, kernel = (
        keras.ops.convert_to_tensor(rng.normal(size=size).astype("float32"))
        for size in ((2, 3, 4, 8), (3, 2, 2, 12))
    )
    outputs = []
    for is_there in (True, False):
        monkeypatch.setattr(
            convolutions, "has_accelerator", lambda x=is_there: x
        )
        monkeypatch.setattr(convolutions, "BACKEND", "any")
        outputs.append(to_numpy(convolutions.grouped_convolution(x, kernel, 4)))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)


def test_other_grids():
    outputs = make_predictor()(TOKENS, INDICES, grid_size=(3, 4))
    assert outputs.shape == (2, 12, 16)
