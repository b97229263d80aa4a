"""MAE in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery

import keras_capi


def make(image_shape=(16, 16, 3), **arguments):
    encoder = keras_capi.encoders.ViT(
        4, 1, 16, 2, image_shape=image_shape, positions="sine"
    )
    decoder = keras_capi.decoders.MaskTokenDecoder(
        16,
        16 * image_shape[-1],
        encoder.grid_size(image_shape),
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
    )
    return keras_capi.methods.MAE(
        encoder, **{"decoder": decoder, "seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Masks for a grid of 4 x 4 patches, other ones with each seed."""
    patches = np.random.default_rng(seed).permuted(
        np.tile(np.arange(16, dtype="int32"), (count, 1)), axis=1
    )
    return {
        "images": make_images(count),
        "visible_indices": patches[:, :4],
        "predict_indices": patches[:, 4:],
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
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
