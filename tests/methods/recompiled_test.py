"""What follows an optimizer's schedule ends with that optimizer."""

import keras
import pytest
from helpers import make_vit

import keras_capi
from keras_capi.layers import DINOHead

TEMPERATURES = ("teacher_temperature", "patch_temperature")


def make_distillation(name):
    head = DINOHead(8, hidden_dim=8, bottleneck_dim=4)
    return getattr(keras_capi.methods, name)(make_vit(), 8, head=head)


def make(name):
    if name != "IJEPA":
        return make_distillation(name)
    encoder = make_vit(class_token=False)
    predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
        encoder, num_layers=1, hidden_dim=16
    )
    return keras_capi.methods.IJEPA(encoder, predictor=predictor)


def followers(model):
    """The momentum, and what there is of temperatures."""
    return [
        model.moving_average.momentum,
        *(getattr(model, name, None) for name in TEMPERATURES),
    ]


@pytest.mark.parametrize("name", ["DINO", "IBOT", "DINOv2", "IJEPA"])
def test_an_optimizer_without_a_schedule(name):
    """As before any optimizer, and as when the model is saved and loaded."""
    model = make(name)
    first = followers(model)
    assert not any(map(callable, first))
    model.compile(model.published_optimizer(100, batch_size=4))
    assert callable(model.moving_average.momentum)
    model.compile("sgd")
    assert followers(model) == first
    clone = type(model).from_config(model.get_config())
    clone.compile("sgd")
    assert followers(clone) == first


def test_what_is_given_stays():
    momentum = keras_capi.optimizers.WarmupCosine(0.9, 10, final_value=1.0)
    model = keras_capi.methods.DINO(
        make_vit(),
        head=DINOHead(8, hidden_dim=8, bottleneck_dim=4),
        ema_momentum=momentum,
        teacher_temperature=0.05,
    )
    model.compile(keras.optimizers.SGD(0.1))
    assert followers(model) == [momentum, 0.05, None]
