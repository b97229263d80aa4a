import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.layers import PatchMLP
from keras_capi.ops import sine_positions

PATCHES = make_images(2, 6, 8)[..., 0]


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(
        x.var(-1, keepdims=True) + 1e-6
    )


def gelu(x):
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def test_positions_and_a_perceptron_with_a_shortcut():
    head = PatchMLP(5, num_layers=1, hidden_dim=4)
    head.build((None, None, 8))
    kernels = [
        to_numpy(layer.kernel)
        for layer in (
            head.embedding,
            head.hidden[0],
            head.outputs[0],
            head.prediction,
        )
    ]
    x = (PATCHES + sine_positions((2, 3), 8)) @ kernels[0]
    x = x + gelu(normalized(x) @ kernels[1]) @ kernels[2]
    expected = normalized(x) @ kernels[3]
    output = to_numpy(head(PATCHES, grid_size=(2, 3)))
    np.testing.assert_allclose(output, expected, atol=2e-5)


def test_without_perceptrons_it_is_a_linear_layer():
    head = PatchMLP.for_encoder(make_vit(), num_layers=0)
    head.build((None, None, 8))
    assert [tuple(v.shape) for v in head.weights] == [(8, 48), (48,)]
    head.prediction.bias.assign(np.arange(48.0))
    expected = PATCHES @ to_numpy(head.prediction.kernel) + np.arange(48.0)
    output = to_numpy(head(PATCHES, grid_size=(2, 3)))
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("grid_size", [(1, 1), (2, 2), (3, 3)])
def test_a_grid_of_other_patches(grid_size):
    head = PatchMLP(5, num_layers=1, hidden_dim=4)
    with pytest.raises(ValueError, match="must be that of the patches.*6 pat"):
        head(PATCHES, grid_size=grid_size)


def test_no_width_for_an_encoder():
    with pytest.raises(ValueError, match="`hidden_dim` must be a positive.*=0"):
        PatchMLP.for_encoder(make_vit(), hidden_dim=0)
