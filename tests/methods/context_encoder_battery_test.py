"""The context encoder in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=image_shape)
    return keras_capi.methods.ContextEncoder(
        encoder,
        keras_capi.layers.RandomRegions(seed=2),
        keras_capi.layers.Discriminator((4, 8), seed=3),
        **arguments,
    )


def own_inputs(count, seed=0):
    """Pixels that are painted over, other ones with each seed."""
    images = make_images(count)
    mask = np.random.default_rng(seed).random(images.shape) < 0.3
    corrupted = np.where(mask, -2.0, images).astype("float32")
    return {"images": images, "corrupted_images": corrupted, "mask": mask}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset(
        {
            "loss",
            "pixel_loss",
            "unweighted_pixel_loss",
            "adversarial_loss",
            "discriminator_loss",
            "learning_rate",
        }
    ),
    {"pixel_weight": 0.9, "overlap_weight": 2.0, "seed": 5},
    learnt=0.9,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
