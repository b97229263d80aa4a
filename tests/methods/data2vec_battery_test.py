"""data2vec in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4,
        1,
        16,
        2,
        image_shape=image_shape,
        positions=None,
        relative_positions="shared",
        use_key_bias=False,
        layer_scale=0.1,
    )
    return keras_capi.methods.Data2Vec(encoder, **{"seed": 3, **arguments})


def own_inputs(count, seed=0):
    """Masks for a grid of 4 x 4 patches, other ones with each seed."""
    # As many in each image, so that devices have as many.
    masks = np.tile(np.arange(16) < 9, (count, 1))
    masks = np.random.default_rng(seed).permuted(masks, axis=1)
    return {"images": make_images(count), "mask": masks}


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset(
        {
            "loss",
            "feature_loss",
            "target_deviation",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {
        "target_outputs": "mlp",
        "target_norms": ("instance",),
        "average_norms": (),
        "beta": None,
        "ema_momentum": 0.9,
        "seed": 5,
    },
    learnt=0.9,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
