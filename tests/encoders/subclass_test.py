"""Encoders of users, who add parts to those of this package."""

import copy

import keras
import numpy as np
import pytest
from helpers import make_images

import keras_capi

IMAGES = make_images(4)


class GatedMixin:
    """Adds a part to any encoder, in its constructor."""

    def __init__(self, *args, gate=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.gate = gate
        self.gated = keras.layers.Dense(self.hidden_dim)
        self.gated.build((None, None, self.hidden_dim))
        self.finish()

    def embed(self, images, visible_indices=None):
        tokens, positions = super().embed(images, visible_indices)
        return tokens + self.gate * self.gated(tokens), positions

    def get_config(self):
        return {**super().get_config(), "gate": self.gate}


@keras.saving.register_keras_serializable(package="tests")
class GatedViT(GatedMixin, keras_capi.encoders.ViT):
    pass


@keras.saving.register_keras_serializable(package="tests")
class GatedAIM(GatedMixin, keras_capi.encoders.AIMEncoder):
    pass


@keras.saving.register_keras_serializable(package="tests")
class GatedConvolutions(GatedMixin, keras_capi.encoders.ConvolutionalEncoder):
    pass


def make_encoder(encoder_class, **arguments):
    shape = IMAGES.shape[1:]
    if encoder_class is GatedConvolutions:
        return encoder_class(2, 16, image_shape=shape, **arguments)
    return encoder_class(4, 2, 16, 2, image_shape=shape, **arguments)


@pytest.mark.parametrize(
    "encoder_class", [GatedViT, GatedAIM, GatedConvolutions]
)
def test_a_part_of_a_subclass_trains_and_is_saved(encoder_class, tmp_path):
    encoder = make_encoder(encoder_class, gate=0.25)
    classifier = keras_capi.tasks.ImageClassifier(encoder, 2, pooling="average")
    former = keras.ops.convert_to_numpy(encoder.gated.kernel)
    classifier.compile(
        keras_capi.optimizers.LayerDecayAdamW(
            1e-2, num_layers=encoder.num_layers, layer_decay=0.5
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    classifier.train_on_batch(IMAGES, np.array([0, 1, 0, 1]))
    kernel = keras.ops.convert_to_numpy(encoder.gated.kernel)
    assert np.abs(kernel - former).max() > 1e-4
    features = encoder.predict(IMAGES, verbose=0)["global"]
    encoder.save(tmp_path / "encoder.keras")
    encoder.save_to_preset(tmp_path / "preset")
    for other in (
        keras.saving.load_model(tmp_path / "encoder.keras"),
        encoder_class.from_preset(tmp_path / "preset"),
        copy.deepcopy(encoder),
    ):
        assert type(other) is encoder_class
        assert other.gate == 0.25
        np.testing.assert_allclose(
            other.predict(IMAGES, verbose=0)["global"], features, atol=1e-6
        )


def test_a_part_of_a_subclass_is_frozen_with_the_others(tmp_path):
    encoder = make_encoder(GatedViT, lora_rank=2)
    assert not encoder.gated.kernel.trainable
    assert all("lora" in v.name for v in encoder.trainable_variables)
    encoder = make_encoder(GatedViT)
    encoder.trainable = False
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert loaded.trainable_variables == []
