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
from keras_capi.cli.load_model import load_keras_file
from keras_capi.models import CAPIBackbone


def check_same_features(backbone, expected):
    images = make_images(2, 16, 20)
    for name, value in expected(images).items():
        np.testing.assert_allclose(
            to_numpy(backbone(images)[name]), to_numpy(value), atol=1e-6
        )


def test_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    backbone = make_backbone(predictor_hidden_dim=24, num_register_tokens=0)
    backbone.save_to_preset("~/preset")
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


def flip_bit(path, place):
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["model.weights.h5", "config.json"])
def test_flipped_bits_are_found(file, tmp_path):
    make_backbone().save_to_preset(tmp_path)
    # In a digit of the configuration; among the numbers of the weights.
    path = tmp_path / file
    content = path.read_bytes()
    place = content.find(b'"hidden_dim": 1') + len(b'"hidden_dim": ')
    flip_bit(path, place if file == "config.json" else len(content) // 2)
    with pytest.raises(ValueError, match=f"{path}.*(SHA-256|must be JSON)"):
        CAPIBackbone.from_preset(tmp_path)


def without_checksums(folder, edit=None):
    """Makes a preset one of an earlier version, with an edited config."""
    metadata = json.loads((folder / "metadata.json").read_text())
    del metadata["sha256"]
    (folder / "metadata.json").write_text(json.dumps(metadata))
    if edit is not None:
        path = folder / "config.json"
        path.write_text(edit(path.read_text()))


def test_presets_without_checksums_load(tmp_path):
    backbone = make_backbone()
    backbone.save_to_preset(tmp_path)
    without_checksums(tmp_path)
    check_same_features(CAPIBackbone.from_preset(tmp_path), backbone)
    (tmp_path / "metadata.json").unlink()
    check_same_features(CAPIBackbone.from_preset(tmp_path), backbone)


@pytest.mark.parametrize("key", ["num_layers", "predictor_num_layers"])
@pytest.mark.parametrize("received", [1, 3, 5_000_000])
def test_other_depths_than_stored(key, received, tmp_path):
    make_backbone(**{key: 2}).save_to_preset(tmp_path)
    without_checksums(
        tmp_path,
        lambda text: text.replace(f'"{key}": 2', f'"{key}": {received}'),
    )
    with pytest.raises(ValueError, match=f"{tmp_path}.*do not fit"):
        CAPIBackbone.from_preset(tmp_path)


@pytest.mark.parametrize("key", ["hidden_dim", "mlp_dim", "patch_size"])
def test_sizes_that_no_memory_holds(key, tmp_path):
    make_backbone(mlp_dim=16, patch_size=16).save_to_preset(tmp_path)
    without_checksums(
        tmp_path,
        lambda text: text.replace(f'"{key}": 16', f'"{key}": 16000000'),
    )
    with pytest.raises(ValueError, match=f"{tmp_path}.*architecture of more"):
        CAPIBackbone.from_preset(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_weights_that_are_not_finite(value, tmp_path):
    backbone = make_backbone()
    weight = backbone.predictor.blocks[0].mlp_hidden.kernel
    values = to_numpy(weight).copy()
    values[1, 2] = value
    weight.assign(values)
    backbone.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="must be finite.*mlp_hidden/kernel"):
        CAPIBackbone.from_preset(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", '{"config": []}', '{"config": {"layers": [3]}}', "\0"]
)
@pytest.mark.parametrize("file", ["config.json", "metadata.json"])
def test_other_json(file, content, tmp_path):
    make_backbone().save_to_preset(tmp_path)
    (tmp_path / "metadata.json").unlink()
    (tmp_path / file).write_text(content)
    if (file, content[0]) == ("metadata.json", "{"):
        CAPIBackbone.from_preset(tmp_path)
        return
    with pytest.raises(ValueError, match=file):
        CAPIBackbone.from_preset(tmp_path)


def test_a_configuration_that_is_none(tmp_path):
    make_backbone().save_to_preset(tmp_path)
    without_checksums(tmp_path, lambda text: text.replace("patch_size", "p"))
    with pytest.raises(ValueError, match="config.json does not describe"):
        CAPIBackbone.from_preset(tmp_path, load_weights=False)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    first = make_backbone()
    first.save_to_preset(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="free space"):
        make_backbone(seed=5).save_to_preset(tmp_path)
    check_same_features(CAPIBackbone.from_preset(tmp_path), first)


def test_what_was_there_is_replaced_by_what_is_whole(tmp_path, monkeypatch):
    first = make_backbone()
    first.save_to_preset(tmp_path)

    def save_weights(model, path):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(keras.Model, "save_weights", save_weights)
        with pytest.raises(OSError, match="No space left"):
            make_backbone(seed=5).save_to_preset(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    check_same_features(CAPIBackbone.from_preset(tmp_path), first)
    second = make_backbone(seed=5)
    second.save_to_preset(tmp_path)
    check_same_features(CAPIBackbone.from_preset(tmp_path), second)


def test_stochastic_depth_is_overridden_both_ways(tmp_path):
    backbone = make_backbone(drop_path_rate=0.2)
    backbone.save_to_preset(tmp_path)
    for rate in (0.0, 0.3):
        loaded = CAPIBackbone.from_preset(tmp_path, drop_path_rate=rate)
        check_same_features(loaded, backbone)


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

    class EntryNotFoundError(Exception):
        """As in `huggingface_hub.errors`."""

    def hf_hub_download(self, repo_id, filename):
        path = self.folder / repo_id / filename
        if not path.is_file():
            raise self.EntryNotFoundError(filename)
        return str(path)


def test_hub(tmp_path, monkeypatch):
    hub = FakeHub(tmp_path)
    monkeypatch.setattr(
        "keras_capi.saving.preset.import_optional", lambda name, extra: hub
    )
    backbone = make_backbone()
    backbone.save_to_preset("hf://user/name")
    assert (tmp_path / "user" / "name" / "config.json").is_file()
    check_same_features(CAPIBackbone.from_preset("hf://user/name"), backbone)
    (tmp_path / "user" / "name" / "metadata.json").unlink()
    check_same_features(CAPIBackbone.from_preset("hf://user/name"), backbone)
    with pytest.raises(FakeHub.EntryNotFoundError):
        CAPIBackbone.from_preset("hf://user/other")


def test_the_fake_hub_takes_what_the_real_one_takes():
    import inspect

    import huggingface_hub as real
    from huggingface_hub.errors import EntryNotFoundError

    assert issubclass(EntryNotFoundError, Exception)
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


@keras.saving.register_keras_serializable("tests")
class NarrowEncoder(keras_capi.encoders.Encoder):
    """Has blocks with far fewer weights than transformers of its sizes."""

    def __init__(self, hidden_dim=192, **arguments):
        super().__init__(
            4, arguments.pop("num_layers", 4), hidden_dim, 0, **arguments
        )
        self.blocks = [
            keras.layers.Dense(1, name=f"block_{index}")
            for index in range(self.num_layers)
        ]
        for block in self.blocks:
            block.build((None, None, hidden_dim))
        self.finish()

    def embed(self, images, visible_indices=None):
        patches = keras_capi.ops.extract_patches(images, 4)
        copies = self.hidden_dim // patches.shape[-1]
        cells = keras_capi.ops.patch_cells(self.grid_size(images.shape[1:]))
        return keras.ops.tile(patches, (1, 1, copies)), cells[None]

    def encode(self, tokens, positions, layers=(), *args, **kwargs):
        outputs = {}
        for number, block in enumerate(self.blocks, start=1):
            tokens = tokens + block(tokens)
            outputs[number] = tokens
        return self.name_outputs(outputs, positions, layers)

    def get_config(self):
        config = super().get_config()
        del config["patch_size"]
        return config


@pytest.mark.parametrize(
    "make",
    [
        lambda: NarrowEncoder(image_shape=(16, 20, 3)),
        # Its predictor has no blocks, whatever their sizes.
        lambda: make_backbone(
            predictor="fused",
            hidden_dim=64,
            mlp_dim=16,
            predictor_num_layers=12,
        ),
    ],
)
def test_encoders_smaller_than_their_sizes_tell(make, tmp_path):
    encoder = make()
    encoder.save_to_preset(tmp_path / "preset")
    loaded = type(encoder).from_preset(tmp_path / "preset")
    check_same_features(loaded, encoder)
    encoder.save(tmp_path / "encoder.keras")
    loaded = load_keras_file(tmp_path / "encoder.keras")
    check_same_features(loaded, encoder)
