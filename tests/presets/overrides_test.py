"""Arguments other than those that the weights of a preset were trained with."""

import inspect
import json

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import to_numpy

from keras_capi.encoders import AIMEncoder
from keras_capi.encoders import CAPIBackbone
from keras_capi.encoders import ImageGPTEncoder
from keras_capi.encoders import SobelViT
from keras_capi.encoders import ViT
from keras_capi.saving.preset_overrides import FREE_ARGUMENTS

SIZES = {"num_layers": 2, "hidden_dim": 16, "num_heads": 2}
VIT = {**SIZES, "patch_size": 4, "image_shape": (16, 32, 3)}
ENCODERS = {
    AIMEncoder: VIT,
    CAPIBackbone: {**VIT, "predictor_num_layers": 1, "num_register_tokens": 4},
    ImageGPTEncoder: {**SIZES, "image_size": (4, 8), "num_colors": 8},
    SobelViT: VIT,
    ViT: VIT,
}
# Most of them would load, and compute something else.
OTHER_MEANINGS = [
    (AIMEncoder, {"num_heads": 4}),
    (AIMEncoder, {"num_layers": 1}),
    (AIMEncoder, {"image_shape": (32, 16, 3)}),
    (CAPIBackbone, {"num_heads": 1}),
    (CAPIBackbone, {"predictor_num_heads": 1}),
    (CAPIBackbone, {"register_coordinates": "zeros"}),
    (CAPIBackbone, {"scale_registers_to_visible": False}),
    (ImageGPTEncoder, {"num_heads": 4}),
    (ImageGPTEncoder, {"image_size": (8, 4)}),
    (SobelViT, {"num_heads": 4}),
    (ViT, {"num_heads": 4}),
    (ViT, {"interpolation_offset": 0.1}),
    (ViT, {"image_shape": (32, 16, 3)}),
]
OTHER_VALUES = {
    "name": "other",
    "dtype": "float32",
    "seed": 3,
    "image_shape": (32, 16, 3),
    "pad": True,
    "mean": (0.5, 0.5, 0.5),
    "standard_deviation": (0.5, 0.5, 0.5),
    "feature_layer": 2,
    "drop_path_rate": 0.1,
    "drop_path_method": "naive",
    "attention_dropout_rate": 0.1,
    "lora_rank": 1,
    "kernel_initializer": "zeros",
    "patch_initializer": "zeros",
    "token_initializer": "zeros",
}
# They say how images come, or which features are read.
CALLED_OTHERWISE = {"mean", "standard_deviation", "feature_layer"}


@pytest.mark.parametrize(
    ("cls", "overrides"),
    OTHER_MEANINGS,
    ids=lambda x: x.__name__ if inspect.isclass(x) else "-".join(x),
)
def test_another_meaning_of_the_weights(cls, overrides, tmp_path):
    cls(**ENCODERS[cls]).save_to_preset(tmp_path)
    ((name, value),) = overrides.items()
    with pytest.raises(ValueError, match=f"`{name}` (cannot|must have)"):
        cls.from_preset(tmp_path, **overrides)
    fresh = cls.from_preset(tmp_path, load_weights=False, **overrides)
    assert fresh.get_config()[name] == value


@pytest.mark.parametrize("cls", list(ENCODERS))
def test_free_arguments_change_no_features(cls, tmp_path):
    encoder = cls(**ENCODERS[cls])
    encoder.save_to_preset(tmp_path)
    known = {"name", "dtype", *inspect.signature(cls).parameters}
    overrides = {k: v for k, v in OTHER_VALUES.items() if k in known}
    for name in CALLED_OTHERWISE & known:
        value = overrides.pop(name)
        # One statistic needs the other.
        given = {k: OTHER_VALUES[k] for k in ("mean", "standard_deviation")}
        given = {name: value} if name == "feature_layer" else given
        assert cls.from_preset(tmp_path, **given).get_config()[name] == value
    if encoder.position_grid is not None:
        # Of the same patches, with the last ones padded.
        overrides["image_shape"] = (15, 30, 3)
    loaded = cls.from_preset(tmp_path, **overrides)
    config = loaded.get_config()
    assert config["seed" if "seed" in known else "name"] in (3, "other")
    images = make_images(2, 16, 32)
    for name, value in encoder(images).items():
        np.testing.assert_allclose(
            to_numpy(loaded(images)[name]), to_numpy(value), atol=1e-6
        )


def test_all_free_arguments_are_tried():
    assert set(OTHER_VALUES) == set(FREE_ARGUMENTS)
    tried = {
        name for cls in ENCODERS for name in inspect.signature(cls).parameters
    }
    assert set(FREE_ARGUMENTS) <= tried | {"name", "dtype"}


def test_saved_values_may_be_repeated(tmp_path):
    ViT(**VIT).save_to_preset(tmp_path)
    loaded = ViT.from_preset(tmp_path, **{**VIT, "image_shape": [16, 32, 3]})
    assert loaded.num_heads == 2


def test_arguments_younger_than_the_preset(tmp_path):
    make_backbone().save_to_preset(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for layer in config["config"]["layers"]:
        layer["config"].pop("register_coordinates", None)
    path.write_text(json.dumps(config))
    (tmp_path / "metadata.json").unlink()
    CAPIBackbone.from_preset(tmp_path, register_coordinates="edge")
    with pytest.raises(ValueError, match="coordinates='zeros', saved 'edge'"):
        CAPIBackbone.from_preset(tmp_path, register_coordinates="zeros")


def test_unknown_arguments_are_named(tmp_path):
    make_backbone().save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="drop_path"):
        CAPIBackbone.from_preset(tmp_path, drop_path=0.1)


@keras.saving.register_keras_serializable("tests")
class ScaledViT(ViT):
    """Has an argument that matters, and one that does not."""

    free_arguments = (*ViT.free_arguments, "note")

    def __init__(self, *args, scale=1.0, note="", **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale
        self.note = note

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "note": self.note}


def test_arguments_of_an_own_encoder(tmp_path):
    ScaledViT(**VIT).save_to_preset(tmp_path)
    assert ScaledViT.from_preset(tmp_path, note="mine").note == "mine"
    with pytest.raises(ValueError, match="`scale` cannot be overridden"):
        ScaledViT.from_preset(tmp_path, scale=2.0)
