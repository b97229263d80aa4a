"""What would be reshaped to something else is refused."""

import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_images

from keras_capi import layers

IMAGES = make_images(2, 8, 16)
pytestmark = on_one_backend("shapes are checked before anything is computed")


@pytest.mark.parametrize(
    "layer",
    [
        layers.ColorAugmentation(),
        layers.MultiCrop(4, 2, num_local_views=2),
        layers.PatchGrid(4),
        layers.RandomResizedCrop(4, 4, num_views=2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_numbers_of_other_images(layer):
    count = layer.numbers_per_image
    layer(IMAGES, numbers=np.zeros((2, count), "float32"))
    layer(IMAGES[0], numbers=np.zeros((count,), "float32"))
    for shape in ((count, 2), (1, count), (4, count), (2, count - 1), (count,)):
        with pytest.raises(ValueError, match="`numbers` must have the leading"):
            layer(IMAGES, numbers=np.zeros(shape, "float32"))


@pytest.mark.parametrize("layer", [layers.CenterRegion, layers.RandomRegions])
def test_regions_of_other_images(layer):
    for shape in ((8, 16), (1, 8, 16), (2, 8, 16)):
        layer()(IMAGES, region=np.ones(shape, bool))
    for shape in ((1, 16, 8), (128,), (1, 8, 16, 1), (2, 4, 16)):
        with pytest.raises(ValueError, match="`region` must have the shape"):
            layer()(IMAGES, region=np.ones(shape, bool))


@pytest.mark.parametrize(
    "layer",
    [
        layers.CenterRegion(),
        layers.ColorRemoval(),
        layers.Corruption("masking_exact"),
        layers.Corruption("gaussian"),
        layers.RandomRegions(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_images_that_are_no_batch(layer):
    for images in (IMAGES[0], IMAGES[None]):
        with pytest.raises(ValueError, match="`images` must have rank 4"):
            layer(images)


@pytest.mark.parametrize(
    "layer",
    [
        layers.CenterRegion(),
        layers.ColorAugmentation(),
        layers.ColorPalette(8),
        layers.ColorRemoval(),
        layers.Corruption(),
        layers.MultiCrop(4, 2),
        layers.PatchGrid(4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_integers_are_refused_before_there_are_images(layer):
    layer(keras.Input((16, 16, 3)))
    with pytest.raises(ValueError, match="floating point, normalised"):
        layer(keras.Input((16, 16, 3), dtype="uint8"))
