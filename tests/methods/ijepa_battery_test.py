"""I-JEPA in the battery of all methods."""

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
        class_token=False,
        positions="sine",
    )
    predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
        encoder, num_layers=1, hidden_dim=16
    )
    return keras_capi.methods.IJEPA(
        encoder, **{"predictor": predictor, "seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Masks for a grid of 4 x 4 patches, other ones with each seed."""
    patches = np.random.default_rng(seed).permuted(
        np.tile(np.arange(16, dtype="int32"), (count, 1)), axis=1
    )
    return {
        "images": make_images(count),
        "visible_indices": patches[:, None, :8],
        "predict_indices": patches[:, 8:].reshape(count, 2, 4),
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
            "target_deviation",
            "learning_rate",
            "ema_momentum",
        }
    ),
    {"ema_momentum": 0.9, "seed": 5},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
