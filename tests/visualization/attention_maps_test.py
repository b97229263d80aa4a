import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import to_numpy

from keras_capi.visualization import attention_maps

IMAGES = make_images(2, 16, 24)


def weights_of_call(backbone, attention, images):
    """What one layer attends to while the backbone runs."""
    recorded = []
    call = attention.call

    def record(x, **others):
        recorded.append(to_numpy(attention.attention_weights(x, **others)))
        return call(x, **others)

    attention.call = record
    backbone(images)
    attention.call = call
    return recorded[0]


@pytest.mark.parametrize("layer", [1, 2, None])
def test_are_those_of_the_call(layer):
    backbone = make_backbone(num_layers=2, predictor_num_layers=2)
    maps = attention_maps(backbone, IMAGES, layer)
    count = backbone.encoder.register_tokens.num_registers
    block = backbone.encoder.blocks[(layer or 2) - 1]
    weights = weights_of_call(backbone, block.attention, IMAGES)
    weights = weights.mean(axis=1)[:, :count, count:]
    assert maps["registers"].shape == (2, count, 4, 6)
    np.testing.assert_allclose(
        maps["registers"].reshape(2, count, -1), weights, atol=1e-5
    )
    block = backbone.predictor.blocks[0]
    weights = weights_of_call(backbone, block.attention, IMAGES)
    weights = weights.mean(axis=(1, 2))[:, count:]
    assert maps["predictor"].shape == (2, 4, 6)
    np.testing.assert_allclose(
        maps["predictor"].reshape(2, -1), weights, atol=1e-5
    )


def test_no_such_block():
    with pytest.raises(ValueError, match="numbers from 1 .*num_layers=1"):
        attention_maps(make_backbone(), IMAGES, layer=2)
