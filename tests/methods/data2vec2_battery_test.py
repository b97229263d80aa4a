"""data2vec 2.0 in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4, 1, 16, 2, image_shape, positions="sine", post_norm=True
    )
    decoder = keras_capi.decoders.ConvolutionalPredictor.for_encoder(
        encoder, num_layers=1, seed=4
    )
    return keras_capi.methods.Data2Vec2(
        encoder, **{"decoder": decoder, "num_masks": 2, "seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Two masks for a grid of 4 x 4 patches, other ones with each seed."""
    patches = np.random.default_rng(seed).permuted(
        np.tile(np.arange(16, dtype="int32"), (count, 2, 1)), axis=2
    )
    return {
        "images": make_images(count),
        "visible_indices": patches[..., :4],
        "predict_indices": patches[..., 4:],
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH
    ),
    frozenset(
        {
            "loss",
            "feature_loss",
            "class_loss",
            "target_deviation",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {
        "num_masks": 3,
        "target_layers": (1,),
        "class_weight": 0.0,
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
