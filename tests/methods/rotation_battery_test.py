"""Rotation prediction in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=image_shape)
    return keras_capi.methods.RotationPrediction(encoder, **arguments)


def own_inputs(count, seed=0):
    """Two turns of each image, other ones with each seed."""
    images = make_images(count)
    turns = np.random.default_rng(seed).permuted(
        np.tile(np.arange(4), (count, 1)), axis=1
    )[:, :2]
    rotated = [
        [np.rot90(image, turn) for turn in pair]
        for image, pair in zip(images, turns, strict=True)
    ]
    return {
        "rotated_images": np.array(rotated),
        "labels": turns.astype("int32"),
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset({"loss", "rotation_loss", "rotation_accuracy", "learning_rate"}),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
