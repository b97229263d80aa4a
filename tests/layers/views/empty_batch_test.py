"""Views of no images are none, of the usual shape."""

import keras
import numpy as np
import pytest
from keras import tree

from keras_capi import layers


@pytest.mark.parametrize(
    "layer",
    [
        layers.CenterRegion(),
        layers.ColorRemoval(),
        layers.MultiCrop(16, 8, num_local_views=2),
        layers.PatchGrid(8),
        layers.RandomRegions(),
        layers.RandomResizedCrop(8, 4, flip_rate=0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_no_images(layer):
    images = np.zeros((0, 32, 32, 3), "float32")
    views = layer(images)
    expected = layer.compute_output_spec(keras.KerasTensor(images.shape))
    tree.assert_same_structure(views, expected)
    for view, spec in zip(
        tree.flatten(views), tree.flatten(expected), strict=True
    ):
        assert tuple(view.shape) == spec.shape
