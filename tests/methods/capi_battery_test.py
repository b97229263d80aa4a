"""CAPI in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_masking
from methods import battery

import keras_capi
from keras_capi.optimizers import capi_optimizer


def make(image_shape=(16, 16, 3), **arguments):
    return keras_capi.models.CAPI(
        make_backbone(image_shape=image_shape),
        **{
            "num_clusters": 8,
            "masking": make_masking(),
            "ema_momentum": 0.9,
            "seed": 3,
            **arguments,
        },
    )


def own_inputs(count, seed=0):
    """Masks for a grid of 4 x 4 patches, other ones with each seed."""
    patches = np.random.default_rng(seed).permuted(
        np.tile(np.arange(16, dtype="int32"), (count, 1)), axis=1
    )
    return {
        "images": make_images(count),
        "visible_indices": patches[:, :5],
        "predict_indices": patches[:, 5:8],
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: capi_optimizer(1e-3, battery.EPOCHS * battery.STEPS),
    frozenset(
        {
            "loss",
            "capi_loss",
            "clustering_loss",
            "target_entropy",
            "learning_rate",
            "clustering_learning_rate",
            "ema_momentum",
        }
    ),
    {"student_temperature": 0.2, "num_clusters": 6, "target_layers": (1,)},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
