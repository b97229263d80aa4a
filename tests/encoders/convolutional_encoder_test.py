import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

import keras_capi

IMAGES = make_images(2)


def make_encoder():
    return keras_capi.encoders.ConvolutionalEncoder(2, hidden_dim=8)


def test_patches_are_those_of_the_whole_image():
    encoder = make_encoder()
    indices = np.array([[3, 0], [15, 7]], "int32")
    patches = to_numpy(encoder.encode_images(IMAGES)["patches"])
    assert patches.shape == (2, 16, 8)
    picked = to_numpy(encoder.encode_images(IMAGES, indices)["patches"])
    np.testing.assert_allclose(
        picked, np.take_along_axis(patches, indices[..., None], 1), atol=1e-6
    )


def test_attention_cannot_be_masked():
    encoder = make_encoder()
    tokens, positions = encoder.embed(IMAGES)
    mask = np.ones((1, 16, 16), "bool")
    with pytest.raises(ValueError, match="Convolutions see all patches"):
        encoder.encode(tokens, positions, attention_mask=mask)
