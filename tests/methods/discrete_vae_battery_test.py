"""DiscreteVAE in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi

NUM_WORDS = 8


def make(image_shape=(16, 16, 3), **arguments):
    return keras_capi.methods.DiscreteVAE(
        4,
        NUM_WORDS,
        hidden_dim=8,
        codebook_dim=8,
        image_shape=image_shape,
        **{"seed": 3, **arguments},
    )


def own_inputs(count, seed=0):
    """Noise for a grid of 4 x 4 patches, other noise with each seed."""
    noise = np.random.default_rng(seed).exponential(
        size=(count, 4, 4, NUM_WORDS)
    )
    return {"images": make_images(count), "noise": noise.astype("float32")}


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
            "uniformity_loss",
            "weighted_uniformity_loss",
            "used_words",
            "temperature",
            "learning_rate",
        }
    ),
    {
        "temperature": 0.5,
        "straight_through": True,
        "reconstruction": "smooth_l1",
        "uniformity_weight": 0.1,
        "seed": 5,
        "mean": (0.5, 0.5, 0.5),
        "standard_deviation": (0.5, 0.5, 0.5),
    },
    learnt=0.9,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
