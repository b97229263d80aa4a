"""Images of TensorFlow's data sets need not tell their channels or rank."""

import numpy as np
import pytest
from backend_helpers import BACKEND

from keras_capi import layers

LAYERS = [
    layers.CenterRegion(),
    layers.ColorAugmentation(),
    layers.ColorPalette(8),
    layers.ColorRemoval(),
    layers.Corruption(),
    layers.ImageNetNormalization(),
    layers.MultiCrop(8, 4, num_local_views=1),
    layers.PatchEmbedding(4, 8),
    layers.PatchGrid(8),
    layers.RandomRegions(),
]
VIEW_LAYERS = [*LAYERS, layers.RandomResizedCrop(8, 8)]
pytestmark = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="only TensorFlow has unknown sizes"
)


def map_images(layer, shape):
    import tensorflow as tf

    images = np.ones((2, 16, 16, 3), "float32")
    layer(images)
    signature = tf.TensorSpec(shape, "float32")
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([images]), output_signature=signature
    )
    return next(iter(dataset.map(layer)))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("shape", [(None, 16, 16, None), (None,) * 4])
def test_unknown_channels_are_refused(layer, shape):
    # Otherwise colours would, for example, be blurred and nothing else.
    with pytest.raises(ValueError, match="known number of .*channels=3"):
        map_images(layer, shape)


@pytest.mark.parametrize("layer", VIEW_LAYERS, ids=lambda x: type(x).__name__)
def test_unknown_rank_is_refused(layer):
    with pytest.raises(ValueError, match="known rank.*ensure_shape"):
        map_images(layer, None)


def test_crops_need_not_know_channels():
    crops = map_images(layers.RandomResizedCrop(8, 8), (None,) * 4)
    assert crops.shape == (2, 8, 8, 3)
