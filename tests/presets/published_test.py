"""The published weights, without a network, and architectures by name."""

import concurrent.futures
import hashlib
import json
import pathlib

import keras
import pytest
from conftest import REFERENCE
from helpers import make_images
from helpers import to_numpy

import keras_capi
from keras_capi.models import CAPIBackbone

NAME = "capi_vit_large_patch14_imagenet1k"
FILE = "capi_vitl14_in1k.pth"


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_names():
    assert set(keras_capi.presets.list_presets()) == {
        NAME,
        "capi_vit_large_patch14_imagenet22k",
        "capi_vit_large_patch14_lvd142m",
        "capi_vit_large_patch14_places205",
        "capi_vit_small_patch14",
        "capi_vit_base_patch14",
        "capi_vit_large_patch14",
    }


def test_converts_once_and_keeps_the_result(keras_home, monkeypatch):
    fetched = []

    def get_file(file, origin, cache_dir, cache_subdir):
        fetched.append(origin)
        assert (cache_dir / cache_subdir) == keras_home / "keras_capi"
        (cache_dir / cache_subdir).mkdir(parents=True, exist_ok=True)
        path = cache_dir / cache_subdir / file
        path.write_bytes((REFERENCE / "capi_reference.pth").read_bytes())
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    first = CAPIBackbone.from_preset(NAME, drop_path_rate=0.0)
    second = CAPIBackbone.from_preset(NAME)
    assert fetched == [f"https://dl.fbaipublicfiles.com/capi/{FILE}"]
    images = make_images(1)
    features = [to_numpy(model(images)["global"]) for model in (first, second)]
    assert (features[0] == features[1]).all()


def test_takes_a_file_that_is_in_place(keras_home, monkeypatch):
    # Here `get_file` is Keras's own.
    folder = keras_home / "keras_capi"
    folder.mkdir()
    content = (REFERENCE / "capi_reference.pth").read_bytes()
    (folder / FILE).write_bytes(content)
    assert CAPIBackbone.from_preset(NAME).encoder.hidden_dim == 48


def test_says_what_to_do_without_a_network(keras_home, monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(OSError) as error:
        CAPIBackbone.from_preset(NAME)
    message = str(error.value)
    assert f"https://dl.fbaipublicfiles.com/capi/{FILE}" in message
    assert str(keras_home / "keras_capi" / FILE) in message
    assert "keras-capi convert" in message


def test_an_interrupted_conversion_is_repeated(keras_home, monkeypatch):
    folder = keras_home / "keras_capi"
    folder.mkdir()
    (folder / FILE).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be read"):
        CAPIBackbone.from_preset(NAME)
    content = (REFERENCE / "capi_reference.pth").read_bytes()
    (folder / FILE).write_bytes(content)
    (folder / (NAME + ".partial")).mkdir()
    assert CAPIBackbone.from_preset(NAME).encoder.hidden_dim == 48


def test_an_interrupted_download_is_repeated(keras_home, monkeypatch):
    folder = keras_home / "keras_capi"
    folder.mkdir()
    # What a killed process leaves.
    (folder / (FILE + ".partial")).write_bytes(b"the first half")

    def get_file(file, origin, cache_dir, cache_subdir):
        path = pathlib.Path(cache_dir) / cache_subdir / file
        assert not path.exists()
        path.write_bytes((REFERENCE / "capi_reference.pth").read_bytes())
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert CAPIBackbone.from_preset(NAME).encoder.hidden_dim == 48
    assert (folder / FILE).is_file()
    assert not (folder / (FILE + ".partial")).exists()


def test_the_conversion_is_verified_at_each_use(keras_home):
    folder = keras_home / "keras_capi"
    folder.mkdir()
    content = (REFERENCE / "capi_reference.pth").read_bytes()
    (folder / FILE).write_bytes(content)
    CAPIBackbone.from_preset(NAME)
    metadata = json.loads((folder / NAME / "metadata.json").read_text())
    digest = hashlib.sha256(content).hexdigest()
    assert metadata["source"] == {"file": FILE, "sha256": digest}
    weights = folder / NAME / "model.weights.h5"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(ValueError, match=f"{weights}.*delete its folder"):
        CAPIBackbone.from_preset(NAME)


def test_converted_once_for_all_that_ask_at_a_time(keras_home, monkeypatch):
    fetched = []

    def get_file(file, origin, cache_dir, cache_subdir):
        fetched.append(file)
        path = pathlib.Path(cache_dir) / cache_subdir / file
        path.write_bytes((REFERENCE / "capi_reference.pth").read_bytes())
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    folder = keras_home / "keras_capi" / NAME
    convert = keras_capi.presets.published._convert
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: convert(FILE, folder), range(4)))
    assert len(fetched) == 1
    assert CAPIBackbone.from_preset(NAME).encoder.hidden_dim == 48


def test_architectures():
    backbone = CAPIBackbone.from_preset(
        "capi_vit_small_patch14", num_layers=1, predictor_num_layers=1
    )
    config = backbone.get_config()
    assert config["patch_size"] == 14
    assert config["hidden_dim"] == 384
    assert config["num_heads"] == 6
