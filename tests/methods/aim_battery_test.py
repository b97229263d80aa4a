"""AIM in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.AIMEncoder(
        4, 1, 16, 2, image_shape=image_shape
    )
    head = keras_capi.layers.PatchMLP.for_encoder(encoder, num_layers=1)
    return keras_capi.methods.AIM(
        encoder, **{"head": head, "seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Prefixes, other ones with each seed."""
    lengths = np.random.default_rng(seed).integers(1, 16, count, "int32")
    return {"images": make_images(count), "prefix_length": lengths}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH
    ),
    frozenset({"loss", "pixel_loss", "learning_rate"}),
    {"normalize_pixels": False, "seed": 5},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
