"""DINO in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4, 1, 16, 2, image_shape=image_shape, interpolation_offset=0.1
    )
    height, width, _ = image_shape
    defaults = {
        "views": keras_capi.layers.MultiCrop(
            (height, width), (8, 12), num_local_views=2, seed=3
        ),
        "head": keras_capi.layers.DINOHead(
            12, num_layers=2, hidden_dim=16, bottleneck_dim=8
        ),
        "num_prototypes": 12,
    }
    return keras_capi.methods.DINO(encoder, **{**defaults, **arguments})


def own_inputs(count, seed=0):
    """Views of images that have nothing in common but the sample's mean."""
    generator = np.random.default_rng(seed)

    def views(number, *size):
        noise = generator.normal(size=(count, number, *size, 3))
        return (noise + make_images(count, 1, 1)[:, None]).astype("float32")

    return {"global_views": views(2, 16, 16), "local_views": views(2, 8, 12)}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS,
        battery.BATCH,
        learning_rate=1e-3,
        frozen_steps=1,
    ),
    frozenset(
        {
            "loss",
            "dino_loss",
            "target_entropy",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {"student_temperature": 0.2, "center_momentum": 0.8},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
