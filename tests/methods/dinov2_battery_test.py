"""DINOv2 in the battery of all methods."""

import pytest
from methods import battery
from methods import dino_battery_test as dino
from methods import ibot_battery_test as ibot

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4,
        1,
        16,
        2,
        image_shape=image_shape,
        interpolation_offset=0.1,
        layer_scale=0.1,
    )
    defaults = {
        "views": keras_capi.layers.MultiCrop(
            image_shape[:2], (8, 12), num_local_views=1, seed=3
        ),
        "masking": keras_capi.layers.StratifiedMasking(
            mask_ratio=(0.3, 0.6), seed=4
        ),
        "head": keras_capi.layers.DINOHead(
            12, num_layers=2, hidden_dim=16, bottleneck_dim=8
        ),
        "num_prototypes": 12,
        "num_patch_prototypes": 10,
    }
    return keras_capi.methods.DINOv2(encoder, **{**defaults, **arguments})


CASE = battery.Case(
    make,
    ibot.own_inputs,
    dino.CASE.optimizer,
    frozenset(
        {
            "loss",
            "class_loss",
            "patch_loss",
            "koleo_loss",
            "target_entropy",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {
        "num_patch_prototypes": None,
        "centering": "softmax",
        "teacher_temperature": 0.06,
        "class_weight": 0.5,
        "patch_weight": 2.0,
        "koleo_weight": 0.2,
        "center_momentum": 0.8,
    },
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
