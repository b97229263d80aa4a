"""iBOT in the battery of all methods."""

import numpy as np
import pytest
from methods import battery
from methods import dino_battery_test as dino

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4, 1, 16, 2, image_shape=image_shape, interpolation_offset=0.1
    )
    defaults = {
        "views": keras_capi.layers.MultiCrop(
            image_shape[:2], (8, 12), num_local_views=1, seed=3
        ),
        "masking": keras_capi.layers.BlockwiseMasking(
            mask_ratio=((0.0, 0.0), (0.3, 0.6)), seed=4
        ),
        "head": keras_capi.layers.DINOHead(
            12, num_layers=2, hidden_dim=16, bottleneck_dim=8
        ),
        "num_prototypes": 12,
    }
    return keras_capi.methods.IBOT(encoder, **{**defaults, **arguments})


def own_inputs(count, seed=0):
    views = dino.own_inputs(count, seed)
    mask = np.random.default_rng(seed).random((count, 2, 16)) < 0.4
    return {**views, "mask": mask}


CASE = battery.Case(
    make,
    own_inputs,
    dino.CASE.optimizer,
    frozenset(
        {
            "loss",
            "class_loss",
            "patch_loss",
            "target_entropy",
            "patch_target_entropy",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {
        "num_patch_prototypes": 12,
        "teacher_shares_prototypes": False,
        "patch_temperature": 0.06,
        "class_weight": 0.5,
        "patch_weight": 2.0,
    },
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
