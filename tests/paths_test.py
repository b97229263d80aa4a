"""Paths as people write them, wherever the package takes one."""

import pathlib

import pytest
from helpers import make_backbone
from helpers import make_images

import keras_capi
from keras_capi.callbacks import Checkpoint
from keras_capi.callbacks import FeatureImages
from keras_capi.models import CAPIBackbone
from keras_capi.paths import as_path
from keras_capi.paths import cache_folder
from keras_capi.paths import printable
from keras_capi.recipes import load_recipe


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_all_that_is_written_or_read_may_be_below_the_home_folder(home):
    assert Checkpoint("~/run").directory == home / "run"
    assert FeatureImages(make_images(1, 8, 8), "~/a").folder == home / "a"
    make_backbone().save_to_preset("~/preset")
    assert (home / "preset" / "config.json").is_file()
    CAPIBackbone.from_preset(pathlib.Path("~/preset"))
    small = pathlib.Path(keras_capi.__file__).parent / "recipes" / "small.yaml"
    (home / "mine.yaml").write_bytes(small.read_bytes())
    assert load_recipe("~/mine.yaml") == load_recipe("small")


def test_the_cache_may_be_below_the_home_folder(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "~/mine")
    assert cache_folder() == home / "mine" / "keras_capi"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("KERAS_HOME")
        else:
            monkeypatch.setenv("KERAS_HOME", unset)
        assert cache_folder() == home / ".keras" / "keras_capi"


def test_a_folder_may_be_named_like_a_user_who_is_none(home):
    assert as_path("~nobody-of-this-name/x") == pathlib.Path(
        "~nobody-of-this-name/x"
    )


@pytest.mark.parametrize(
    ("path", "error"), [(None, TypeError), (3, TypeError), ("", ValueError)]
)
def test_what_is_not_a_path_is_named(path, error):
    with pytest.raises(error, match="`folder` must"):
        FeatureImages(make_images(1, 8, 8), path)
    with pytest.raises(error, match="`directory` must"):
        Checkpoint(path)


def test_names_that_are_not_utf8_can_be_printed():
    assert printable("a\udcffb\0") == "a\\udcffb\\x00"
    assert printable(pathlib.Path("ä.png")) == "ä.png"
