"""SimCLR in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=image_shape)
    defaults = {"head": keras_capi.layers.SimCLRHead(8), "seed": 3}
    return keras_capi.methods.SimCLR(encoder, **{**defaults, **arguments})


def own_inputs(count, seed=0):
    """Views of images that have nothing in common but the sample's mean."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(count, 2, 16, 16, 3))
    views = noise + make_images(count, 1, 1)[:, None]
    return {"global_views": views.astype("float32")}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=0.003
    ),
    frozenset(
        {
            "loss",
            "contrastive_loss",
            "contrastive_accuracy",
            "learning_rate",
        }
    ),
    {"temperature": 0.2, "seed": 5},
    normalizes_by_batch=True,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
