import json
import pathlib
import shutil

import keras

from keras_capi.convert.torch_checkpoint import load_torch_checkpoint
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.optional_imports import import_optional
from keras_capi.paths import cache_folder
from keras_capi.saving.preset import LOADERS
from keras_capi.saving.preset import METADATA_FILE
from keras_capi.saving.preset import load_preset
from keras_capi.saving.preset import save_preset
from keras_capi.saving.preset_files import checksum
from keras_capi.saving.preset_files import read_json

URL = "https://dl.fbaipublicfiles.com/capi/"
WEIGHTS = {
    "capi_vit_large_patch14_imagenet1k": "capi_vitl14_in1k.pth",
    "capi_vit_large_patch14_imagenet22k": "capi_vitl14_i22k.pth",
    "capi_vit_large_patch14_lvd142m": "capi_vitl14_lvd.pth",
    "capi_vit_large_patch14_places205": "capi_vitl14_p205.pth",
}
DATA_SETS = {
    "imagenet1k": "ImageNet-1k",
    "imagenet22k": "ImageNet-22k",
    "lvd142m": "LVD-142M",
    "places205": "Places205",
}
# The predictor has half as many blocks as the encoder, as published for the
# large model.
ARCHITECTURES = {
    f"capi_vit_{size}_patch14": {
        "num_layers": num_layers,
        "predictor_num_layers": num_layers // 2,
        "hidden_dim": hidden_dim,
        "num_heads": hidden_dim // 64,
    }
    for size, num_layers, hidden_dim in (
        ("small", 12, 384),
        ("base", 12, 768),
        ("large", 24, 1024),
    )
}


def list_presets():
    """Returns the names that `CAPIBackbone.from_preset` knows.

    Returns:
        Dictionary from name to a one-line description.

    Example:

    >>> for name, description in keras_capi.presets.list_presets().items():
    ...     print(name, description)
    """
    return {
        **{
            name: f"ViT-L/14 trained on {DATA_SETS[name.rpartition('_')[-1]]} "
            "by the authors (1.8 GB to download)"
            for name in WEIGHTS
        },
        **{
            name: f"ViT-{name.split('_')[2][0].upper()}/14 without weights"
            for name in ARCHITECTURES
        },
    }


def _load_published(name):
    def load(cls, load_weights, overrides):
        cls = _choose_class(cls, name)
        folder = cache_folder() / name
        if not load_weights:
            architecture = name.rpartition("_")[0]
            return LOADERS[architecture](cls, False, overrides)
        if not folder.is_dir():
            _convert(WEIGHTS[name], folder)
        return load_preset(cls, folder, True, overrides)

    return load


def _load_architecture(name):
    def load(cls, load_weights, overrides):
        cls = _choose_class(cls, name)
        return cls(**{**ARCHITECTURES[name], **overrides})

    return load


def _choose_class(cls, name):
    # The base class of all encoders is asked too.
    if issubclass(CAPIBackbone, cls):
        return CAPIBackbone
    if not issubclass(cls, CAPIBackbone):
        raise ValueError(
            f"The preset {name!r} must be loaded by `CAPIBackbone`. "
            f"Received: {cls.__name__}"
        )
    return cls


def _convert(file, folder):
    """Downloads and converts a file, unless another process does or did so."""
    filelock = import_optional("filelock", extra="torch")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when its process ends, however that happens.
    with filelock.FileLock(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return
        checkpoint = _fetch(file, folder.parent)
        # First under another name: an interrupted conversion must not look
        # complete.
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        save_preset(load_torch_checkpoint(checkpoint), partial)
        _record_source(partial, checkpoint)
        partial.rename(folder)


def _fetch(file, folder):
    path = folder / file
    if path.is_file():
        return path
    partial = path.with_name(file + ".partial")
    # Keras would take what a killed process leaves for the whole file.
    partial.unlink(missing_ok=True)
    try:
        fetched = keras.utils.get_file(
            partial.name,
            URL + file,
            cache_dir=folder.parent,
            cache_subdir=folder.name,
        )
    # Keras raises the base class for everything that goes wrong.
    except Exception as error:
        raise OSError(
            f"{URL}{file} cannot be downloaded ({error}). Download it on "
            f"another machine and put it at {path}, or convert it wherever it "
            f"is: `keras-capi convert {file} FOLDER`, then "
            '`CAPIBackbone.from_preset("FOLDER")`.'
        ) from error
    return pathlib.Path(fetched).replace(path)


def _record_source(folder, checkpoint):
    """Records in a preset which file it was converted from."""
    path = folder / METADATA_FILE
    source = {"file": checkpoint.name, "sha256": checksum(checkpoint)}
    metadata = {**read_json(path), "source": source}
    path.write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


LOADERS.update({name: _load_published(name) for name in WEIGHTS})
LOADERS.update({name: _load_architecture(name) for name in ARCHITECTURES})
