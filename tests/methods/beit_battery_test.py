"""BEiT in the battery of all methods."""

import numpy as np
import pytest
from helpers import make_images
from methods import battery
from methods.linear_tokenizer import NUM_WORDS
from methods.linear_tokenizer import LinearTokenizer

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
    return keras_capi.methods.BEiT(
        encoder, LinearTokenizer(image_shape[-1]), **{"seed": 3, **arguments}
    )


def own_inputs(count, seed=0):
    """Masks and words for a grid of 4 x 4 patches, others with each seed."""
    # As many in each image, so that devices have as many.
    masks = np.tile(np.arange(16) < 6, (count, 1))
    rng = np.random.default_rng(seed)
    return {
        "images": make_images(count),
        "mask": rng.permuted(masks, axis=1),
        "token_ids": rng.integers(0, NUM_WORDS, (count, 16), "int32"),
    }


CASE = battery.Case(
    make,
    own_inputs,
    lambda model: model.published_optimizer(
        battery.EPOCHS * battery.STEPS, battery.BATCH, learning_rate=1e-3
    ),
    frozenset({"loss", "token_loss", "token_accuracy", "learning_rate"}),
    {"seed": 5},
    learnt=0.9,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return battery.train(CASE, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, trained, tmp_path):
    check(CASE, trained, tmp_path)
