"""Presets in folders and on the Hugging Face Hub."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

import keras_capi
from keras_capi.models import CAPIBackbone


def check_same_features(backbone, expected):
    images = make_images(2, 16, 20)
    for name, value in expected(images).items():
        np.testing.assert_allclose(
            to_numpy(backbone(images)[name]), to_numpy(value), atol=1e-6
        )


def test_folder(tmp_path):
    backbone = make_backbone(predictor_hidden_dim=24, num_register_tokens=0)
    backbone.save_to_preset(tmp_path / "preset")
    files = {path.name for path in (tmp_path / "preset").iterdir()}
    assert files == {"config.json", "model.weights.h5", "metadata.json"}
    loaded = CAPIBackbone.from_preset(str(tmp_path / "preset"))
    assert loaded.get_config() == backbone.get_config()
    check_same_features(loaded, backbone)


def test_overrides_and_no_weights(tmp_path):
    backbone = make_backbone()
    backbone.save_to_preset(tmp_path)
    loaded = CAPIBackbone.from_preset(
        tmp_path, drop_path_rate=0.3, image_shape=(16, 20, 3)
    )
    assert loaded.get_config()["drop_path_rate"] == 0.3
    check_same_features(loaded, backbone)
    loaded = CAPIBackbone.from_preset(tmp_path, load_weights=False)
    difference = to_numpy(loaded.weights[0]) - to_numpy(backbone.weights[0])
    assert np.abs(difference).max() > 0.01


def test_a_teacher_comes_back_trainable(tmp_path):
    teacher = make_model().teacher
    teacher.save_to_preset(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert "trainable" not in json.dumps(config)
    loaded = CAPIBackbone.from_preset(tmp_path)
    expected = {w.path for w in make_backbone().trainable_weights}
    assert {w.path for w in loaded.trainable_weights} == expected
    make_model(loaded)


def test_depth_is_not_overridden(tmp_path):
    make_backbone(num_layers=2).save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="num_layers=1, saved 2"):
        CAPIBackbone.from_preset(tmp_path, num_layers=1)
    backbone = CAPIBackbone.from_preset(tmp_path, False, num_layers=1)
    assert backbone.encoder.num_layers == 1


def test_damaged_presets_are_named(tmp_path):
    make_backbone().save_to_preset(tmp_path)
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{tmp_path}.*do not fit"):
        CAPIBackbone.from_preset(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json must be JSON"):
        CAPIBackbone.from_preset(tmp_path)


def test_precision(tmp_path):
    make_backbone().save_to_preset(tmp_path)
    loaded = CAPIBackbone.from_preset(tmp_path, dtype="mixed_bfloat16")
    features = loaded(make_images(1))["feature_map"]
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"


def test_config_describes_a_functional_model(tmp_path):
    """What KerasHub loads without knowing our classes."""
    backbone = make_backbone()
    backbone.save_to_preset(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    model = keras.saving.deserialize_keras_object(config)
    model.load_weights(tmp_path / "model.weights.h5")
    images = make_images(2)
    np.testing.assert_allclose(
        model.predict(images, verbose=0),
        to_numpy(backbone(images)["feature_map"]),
        atol=1e-6,
    )


@pytest.mark.filterwarnings("ignore")  # What KerasHub warns of is its own.
def test_keras_hub(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    make_backbone().save_to_preset(tmp_path / "preset")
    classifier = keras_hub.models.ImageClassifier.from_preset(
        str(tmp_path / "preset"), num_classes=3
    )
    images = make_images(4)
    classifier.fit(images, np.array([0, 1, 2, 0]), batch_size=2, verbose=0)
    assert classifier.predict(images, verbose=0).shape == (4, 3)
    classifier.save_to_preset(str(tmp_path / "again"))
    check_same_features(
        CAPIBackbone.from_preset(tmp_path / "again"),
        classifier.backbone.layers[-1],
    )


class FakeHub:
    """The functions of huggingface_hub that presets use."""

    def __init__(self, folder):
        self.folder = folder

    def create_repo(self, repo_id, *, exist_ok=False):
        (self.folder / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id, folder_path):
        target = self.folder / repo_id
        shutil.copytree(folder_path, target, dirs_exist_ok=True)

    def hf_hub_download(self, repo_id, filename):
        return str(self.folder / repo_id / filename)


def test_hub(tmp_path, monkeypatch):
    hub = FakeHub(tmp_path)
    monkeypatch.setattr(
        "keras_capi.models.preset.import_optional", lambda name, extra: hub
    )
    backbone = make_backbone()
    backbone.save_to_preset("hf://user/name")
    assert (tmp_path / "user" / "name" / "config.json").is_file()
    check_same_features(CAPIBackbone.from_preset("hf://user/name"), backbone)


def test_the_fake_hub_takes_what_the_real_one_takes():
    import inspect

    import huggingface_hub as real

    inspect.signature(real.create_repo).bind("user/name", exist_ok=True)
    inspect.signature(real.upload_folder).bind(repo_id="a/b", folder_path="c")
    inspect.signature(real.hf_hub_download).bind("user/name", "config.json")


def test_unknown_presets(tmp_path):
    with pytest.raises(ValueError, match="capi_vit_base_patch14.*'no_such'"):
        CAPIBackbone.from_preset("no_such")
    with pytest.raises(ValueError, match="must contain config.json"):
        CAPIBackbone.from_preset(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    config = keras.saving.serialize_keras_object(model)
    path = pathlib.Path(tmp_path) / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="keras_capi>CAPIBackbone"):
        CAPIBackbone.from_preset(tmp_path)
    assert keras_capi.presets.list_presets()
