"""Colourisation in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi

BINS = [[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0], [-20.0, -20.0]]


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=image_shape)
    targets = keras_capi.layers.ColorTargets(BINS, 3)
    return keras_capi.methods.Colorization(
        encoder, **{"targets": targets, **arguments}
    )


def own_inputs(count, seed=0):
    """Images whose colours are their brightness, or others with each seed."""
    images = make_images(count)
    colors = 20.0 * images[:, ::4, ::4, :2]
    return {
        "corrupted_images": images,
        "colors": np.roll(colors, seed, axis=0),
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset({"loss", "color_loss", "color_cross_entropy", "learning_rate"}),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


# Images of another number of channels have no colours.
CHECKS = [x for x in battery.CHECKS if x is not battery.check_other_images]


@pytest.mark.parametrize("check", CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
