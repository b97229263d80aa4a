"""DALL-E's decoder, beside the same of torch's functions."""

import keras
import numpy as np
import pytest
import torch
from helpers import to_numpy
from torch.nn import functional

from keras_capi.tokenizers import DALLEDecoder

WORDS = np.random.default_rng(0).integers(0, 8, (2, 2, 3))


def convolve(layer, x):
    kernel = torch.tensor(to_numpy(layer.kernel)).permute(3, 2, 0, 1)
    bias = torch.tensor(to_numpy(layer.bias))
    return functional.conv2d(x, kernel, bias, padding="same")


def expected_statistics(decoder, words):
    x = functional.one_hot(torch.tensor(words), 8).float()
    x = convolve(decoder.stem, x.permute(0, 3, 1, 2))
    for group in range(4):
        residual = x
        # One block in each group: the gain is 1 / 4**2.
        block = decoder.blocks[group]
        for layer in block.convolutions:
            residual = convolve(layer, functional.relu(residual))
        x = (convolve(block.shortcut, x) if block.shortcut else x) + (
            residual / 16
        )
        if group < 3:
            x = functional.interpolate(x, scale_factor=2)
    return convolve(decoder.head, functional.relu(x)).permute(0, 2, 3, 1)


# What JAX would compile for long, and is the same on each backend.
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="on one backend")
def test_pictures_of_words():
    decoder = DALLEDecoder(8, hidden_dim=4, initial_dim=4, num_blocks=1)
    rng = np.random.default_rng(1)
    decoder.set_weights(
        [rng.normal(0, 0.7, x.shape) for x in decoder.get_weights()]
    )
    kernel_sizes = [x.kernel_size for x in decoder.blocks[0].convolutions]
    assert kernel_sizes == [(1, 1), (3, 3), (3, 3), (3, 3)]
    widths = [block.width for block in decoder.blocks]
    assert widths == [32, 16, 8, 4]
    expected = expected_statistics(decoder, WORDS)
    words = np.eye(8, dtype="float32")[WORDS]
    np.testing.assert_allclose(
        to_numpy(decoder(words)), expected, rtol=1e-4, atol=1e-4
    )
    colors = torch.sigmoid(expected[..., :3]) / 0.8 - 0.125
    assert colors.min() < 0 and colors.max() > 1
    pictures = to_numpy(decoder.decode(WORDS))
    assert pictures.shape == (2, 16, 24, 3)
    np.testing.assert_allclose(pictures, colors.clip(0, 1), atol=1e-4)
