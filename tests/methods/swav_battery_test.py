"""SwAV in the battery of all methods."""

import pytest
from methods import battery
from methods.dino_battery_test import own_inputs

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
        "head": keras_capi.layers.SwAVHead(hidden_dim=16, output_dim=8),
        "num_prototypes": 6,
    }
    return keras_capi.methods.SwAV(encoder, **{**defaults, **arguments})


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS,
        battery.BATCH,
        learning_rate=0.1,
        frozen_steps=1,
    ),
    frozenset({"loss", "swav_loss", "target_entropy", "learning_rate"}),
    {
        "temperature": 0.2,
        "epsilon": 0.04,
        "num_iterations": 2,
        "assigned_views": (0,),
        "queue_size": 4,
        "queue_start": 2,
    },
    normalizes_by_batch=True,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
