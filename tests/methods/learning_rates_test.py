"""Rates that are none, such as `1e-3` from YAML, which is a string there."""

import pytest
from helpers import make_vit

import keras_capi


def make(name):
    methods = keras_capi.methods
    if name == "DiscreteVAE":
        return methods.DiscreteVAE(4, 8, hidden_dim=4, codebook_dim=4)
    if name == "ImageGPT":
        return methods.ImageGPT(
            keras_capi.encoders.ImageGPTEncoder(
                1, 16, 2, image_size=4, num_colors=8
            )
        )
    arguments = {
        "SwAV": {
            "num_prototypes": 8,
            "head": keras_capi.layers.SwAVHead(8, 4),
        },
        "ContextEncoder": {"pixel_weight": 1.0},
    }
    return getattr(methods, name)(make_vit(), **arguments.get(name, {}))


@pytest.mark.parametrize(
    "name",
    [
        "AIM",
        "ContextEncoder",
        "Data2Vec2",
        "DiscreteVAE",
        "ImageGPT",
        "MAE",
        "SimCLR",
        "SimMIM",
        "SwAV",
    ],
)
def test_rates_that_are_none(name):
    model = make(name)
    for rate in ("1e-3", -1.0, float("nan"), True):
        with pytest.raises(ValueError, match="`learning_rate` must be 0 or a"):
            model.published_optimizer(80, 4, learning_rate=rate)
    for rate in (0.0, 1e-3, keras_capi.optimizers.WarmupCosine(1e-3, 80)):
        model.published_optimizer(80, 4, learning_rate=rate)


def test_a_warmup_that_is_none():
    for warmup_steps in ("3", -3, 1.5):
        with pytest.raises(ValueError, match="`warmup_steps` must be 0 or a"):
            make("ImageGPT").published_optimizer(
                80, 4, warmup_steps=warmup_steps
            )
