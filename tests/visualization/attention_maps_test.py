import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import make_vit
from helpers import to_numpy

import keras_capi
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


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("relative", [None, "per_block"])
def test_of_a_standard_transformer(layer, relative):
    vit = make_vit(
        num_layers=2,
        num_register_tokens=1,
        relative_positions=relative,
        image_shape=(16, 24, 3),
    )
    for weight in vit.trainable_weights:
        weight.assign_add(0.1 * make_images(1, *weight.shape[:1], 1, 1).max())
    maps = attention_maps(vit, IMAGES, layer)
    assert set(maps) == {"prefix"}
    attention = vit.blocks[layer - 1].attention
    weights = weights_of_call(vit, attention, IMAGES).mean(axis=1)
    np.testing.assert_allclose(
        maps["prefix"].reshape(2, 2, -1), weights[:, :2, 2:], atol=1e-5
    )


def test_of_padded_images():
    vit = make_vit(pad=True)
    maps = attention_maps(vit, IMAGES[:, :14])
    np.testing.assert_allclose(
        maps["prefix"],
        attention_maps(
            vit, np.pad(IMAGES[:, :14], [(0, 0), (0, 2)] + [(0, 0)] * 2)
        )["prefix"],
    )


def test_no_such_block():
    with pytest.raises(ValueError, match="numbers from 1 .*num_layers=1"):
        attention_maps(make_backbone(), IMAGES, layer=2)
    with pytest.raises(ValueError, match="must be a `keras_capi.encoders"):
        attention_maps(make_model(), IMAGES)


def test_an_encoder_without_attention():
    encoder = keras_capi.encoders.ConvolutionalEncoder(2, hidden_dim=8)
    assert attention_maps(encoder, IMAGES) == {}
