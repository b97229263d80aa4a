"""Relative positions in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=image_shape)
    head = keras_capi.layers.PairHead((16, 16, 16))
    return keras_capi.methods.RelativePosition(
        encoder, **{"head": head, "seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Three patches of each image, other pairs with each seed."""
    patches = make_images(3 * count, 8, 8).reshape(count, 3, 8, 8, 3)
    generator = np.random.default_rng(seed)
    return {
        "patches": patches,
        "pairs": generator.integers(0, 3, (count, 4, 2), "int32"),
        "labels": generator.integers(0, 8, (count, 4), "int32"),
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset(
        {
            "loss",
            "position_loss",
            "pair_loss",
            "position_accuracy",
            "learning_rate",
        }
    ),
    {"seed": 5},
    normalizes_by_batch=True,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
