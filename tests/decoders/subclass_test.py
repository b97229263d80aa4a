"""Decoders and predictors of users, who add parts to those of this package."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit

import keras_capi
from keras_capi import decoders

ARGUMENTS = {
    "ConvolutionalDecoder": (2, 8),
    "ConvolutionalPredictor": (16, (4, 4)),
    "CrossAttentionPredictor": (1, 16, 2),
    "FusedPredictor": (16,),
    "JointPredictor": (1, 16, 2),
    "MaskTokenDecoder": (16, 48, (4, 4), 1, 16, 2),
    "SelfAttentionPredictor": (16, 16, (4, 4), 1, 16, 2),
}


def with_parts(base):
    class Larger(base):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.gate = keras.layers.Dense(4)
            self.gate.build((None, 4))
            self.scale = self.add_weight(name="scale", shape=(3,))
            self.further = [keras.layers.Dense(2)]

    return Larger


@pytest.mark.parametrize("name", decoders.__all__)
def test_constructors_may_add_parts(name):
    base = getattr(decoders, name)
    part = with_parts(base)(*ARGUMENTS[name])
    weights = {id(weight) for weight in part.weights}
    added = part.scale, part.gate.kernel, part.gate.bias
    assert weights >= {id(weight) for weight in added}


def test_constructors_of_rotary_encoders_may_add_parts():
    part = with_parts(keras_capi.models.RotaryViT)(4, 1, 16, 2)
    assert any(weight is part.scale for weight in part.weights)
    assert make_backbone().encoder.built


@keras.saving.register_keras_serializable(package="tests")
class ScaledDecoder(decoders.MaskTokenDecoder):
    """Scales its predictions by a weight."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = self.add_weight(
            name="scale", shape=(1,), initializer="ones"
        )

    def call(self, *args, **kwargs):
        return super().call(*args, **kwargs) * self.scale


@pytest.mark.usefixtures("untraced")
def test_an_added_weight_trains_and_is_saved(tmp_path):
    decoder = ScaledDecoder(*ARGUMENTS["MaskTokenDecoder"])
    model = keras_capi.methods.MAE(make_vit(), decoder=decoder, seed=1)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(make_images(), verbose=0)
    scale = keras.ops.convert_to_numpy(decoder.scale)
    assert scale[0] != 1.0
    model.save(tmp_path / "mae.keras")
    loaded = keras.saving.load_model(tmp_path / "mae.keras")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded.decoder.scale), scale
    )
