"""Image GPT in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    # Without an order, so that something is drawn.
    encoder = keras_capi.encoders.ImageGPTEncoder(
        1,
        16,
        2,
        image_size=(image_shape[0] // 4, image_shape[1] // 4),
        num_channels=image_shape[-1],
        num_colors=16,
        causal=False,
    )
    return keras_capi.methods.ImageGPT(encoder, **{"seed": 3, **arguments})


def own_inputs(count, seed=0):
    """Masks of half of the pixels, other ones with each seed."""
    ranks = np.random.default_rng(seed).random((count, 16)).argsort(axis=1)
    return {"images": make_images(count), "mask": ranks < 8}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH
    ),
    frozenset({"loss", "color_loss", "learning_rate"}),
    {"palette": (np.arange(48) / 64).reshape(16, 3).tolist(), "seed": 5},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
