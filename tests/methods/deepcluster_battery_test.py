"""DeepCluster, both versions, in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery
from methods import dino_battery_test
from methods.corner_views import Corners

import keras_capi

# As many as the data set of the battery has.
NUM_IMAGES = 3


def number(inputs, count):
    return {**inputs, "indices": np.arange(count, dtype="int32") % NUM_IMAGES}


def make_encoder(image_shape):
    return keras_capi.encoders.ViT(
        4, 1, 16, 2, image_shape=image_shape, interpolation_offset=0.1
    )


def make(image_shape=(16, 16, 3), **arguments):
    height, width, _ = image_shape
    defaults = {
        "num_prototypes": (2, 3),
        "views": Corners((height - 4, width - 4)),
        "head": keras_capi.layers.SwAVHead(hidden_dim=16, output_dim=8),
        "num_images": battery.BATCH,
        "seed": 1,
    }
    return keras_capi.methods.DeepCluster(
        make_encoder(image_shape), **{**defaults, **arguments}
    )


def make_first(image_shape=(16, 16, 3), **arguments):
    defaults = {
        "num_clusters": 3,
        "head": keras_capi.layers.AlexNetHead(16, 8, dropout_rate=0.0),
        "num_images": battery.BATCH,
        "seed": 1,
    }
    return keras_capi.methods.DeepClusterV1(
        make_encoder(image_shape), **{**defaults, **arguments}
    )


CASE = battery.Case(
    make,
    lambda count, seed=0: number(
        dino_battery_test.own_inputs(count, seed), count
    ),
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=0.1
    ),
    frozenset({"loss", "cluster_loss", "learning_rate"}),
    {
        "num_prototypes": (4, 2, 3),
        "temperature": 0.2,
        "num_iterations": 2,
        "memory_views": (1,),
    },
    normalizes_by_batch=True,
)
CASE_OF_FIRST = battery.Case(
    make_first,
    lambda count, seed=0: number(
        {"views": make_images(count, 16, 16) + 0.1 * seed}, count
    ),
    lambda model: model.published_optimizer(4, battery.BATCH),
    frozenset({"loss", "cluster_loss", "learning_rate"}),
    {"num_clusters": 5, "num_components": 4, "num_iterations": 2},
)
CASES = {"version 1": CASE_OF_FIRST, "version 2": CASE}


@pytest.fixture(scope="module", params=CASES)
def trained(request, tmp_path_factory):
    case = CASES[request.param]
    return case, battery.train(case, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    case, results = trained
    check(case, results, tmp_path)
