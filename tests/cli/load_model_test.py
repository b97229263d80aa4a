"""What `--model` may name."""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_model
from helpers import make_vit

from keras_capi.cli.load_model import choose_white_level
from keras_capi.cli.load_model import load_model
from keras_capi.decoders import MaskTokenDecoder
from keras_capi.encoders import CAPIBackbone
from keras_capi.encoders import Encoder
from keras_capi.layers import DINOHead
from keras_capi.methods import DINO
from keras_capi.methods import MAE
from keras_capi.tasks import ImageClassifier


def make_mae():
    return MAE(make_vit(), decoder=MaskTokenDecoder(16, 48, (4, 4), 1, 16, 2))


def make_dino():
    head = DINOHead(4, num_layers=2, hidden_dim=16, bottleneck_dim=8)
    return DINO(make_vit(), head=head)


MODELS = {
    "capi": make_model,
    "mae": make_mae,
    "dino": make_dino,
    "classifier": lambda: ImageClassifier(make_vit(), 2),
    "encoder": make_vit,
}


@pytest.mark.parametrize("name", MODELS)
def test_files_of_all_models(name, tmp_path):
    model = MODELS[name]()
    model.save(tmp_path / "model.keras")
    encoder, method = load_model(tmp_path)
    assert isinstance(encoder, Encoder)
    assert (method is None) == (name in ("classifier", "encoder"))
    expected = getattr(model, "backbone", model)
    np.testing.assert_array_equal(
        encoder.predict(make_images(), verbose=0)["global"],
        expected.predict(make_images(), verbose=0)["global"],
    )


def test_presets_of_all_encoders(tmp_path):
    vit = make_vit()
    vit.save_to_preset(tmp_path)
    encoder, method = load_model(tmp_path)
    assert type(encoder) is type(vit) and method is None
    with pytest.raises(ValueError, match="keras_capi>CAPIBackbone"):
        CAPIBackbone.from_preset(tmp_path)


def test_other_models_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="contain an encoder.*Sequential"):
        load_model(tmp_path)


@pytest.mark.parametrize("num_channels", [1, 4, 13])
@pytest.mark.parametrize("is_file", [True, False])
def test_models_for_other_channels_are_refused(num_channels, is_file, tmp_path):
    encoder = make_vit(image_shape=(16, 16, num_channels))
    if is_file:
        encoder.save(tmp_path / "model.keras")
    else:
        encoder.save_to_preset(tmp_path)
    rule = f"`predict` .* takes arrays .*with {num_channels} channels"
    with pytest.raises(ValueError, match=rule):
        load_model(str(tmp_path))


def test_the_white_level_of_a_run(tmp_path):
    assert choose_white_level(str(tmp_path), None) is None
    recipe = tmp_path / "recipe.yaml"
    for without in ("training: {}", "data: {image_size: 16}"):
        recipe.write_text(without)
        assert choose_white_level(str(tmp_path), None) is None
    recipe.write_text("data:\n  white_level: 1023\n")
    assert choose_white_level(str(tmp_path), None) == 1023
    assert choose_white_level(str(tmp_path / "model.keras"), None) == 1023
    assert choose_white_level(str(tmp_path / "other.keras"), None) is None
    assert choose_white_level(str(tmp_path), 4095) == 4095
    for damaged in ("data: 3", "data: {white_level: bright}", "data: ["):
        recipe.write_text(damaged)
        with pytest.raises(ValueError, match="must be.*recipe.yaml"):
            choose_white_level(str(tmp_path), None)
