"""Folders that hold a backbone, in the layout of KerasHub.

`config.json` describes a functional model from images to the feature map, which
KerasHub's tasks take as a backbone, and `model.weights.h5` holds its weights.
"""

import json
import os
import pathlib
import tempfile
from collections.abc import Callable

import keras

from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.saving.preset_files import check_space
from keras_capi.saving.preset_files import checksums
from keras_capi.saving.preset_files import read_json
from keras_capi.saving.preset_files import verify_checksum
from keras_capi.saving.preset_overrides import FREE_ARGUMENTS
from keras_capi.saving.preset_overrides import check_overrides
from keras_capi.saving.preset_overrides import check_position_grid
from keras_capi.saving.weights_file import check_finite_weights
from keras_capi.saving.weights_file import check_size
from keras_capi.saving.weights_file import count_numbers
from keras_capi.saving.weights_file import has_known_size
from keras_capi.version import __version__

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
METADATA_FILE = "metadata.json"
HUB_PREFIX = "hf://"

# Of the training that a preset comes from.
TRAINING_KEYS = ("trainable", "trainable_parts", "lora_rank")

# Functions that load a backbone by name, with overrides of its arguments. They
# are registered from above, so that models need not know where weights come
# from.
LOADERS: dict[str, Callable] = {}


class PresetMixin:
    """Gives an encoder `from_preset` and `save_to_preset`.

    A subclass adds to `free_arguments` the names of those of its own arguments
    that do not change what trained weights compute. It sets `position_grid` to
    the rows and columns of patches that its positions are made for, if any.
    """

    free_arguments: tuple[str, ...] = FREE_ARGUMENTS
    position_grid: tuple[int, int] | None = None

    @classmethod
    def from_preset(cls, preset, load_weights=True, **overrides):
        """Makes an encoder from a preset.

        `keras_capi.encoders.Encoder` itself takes a preset of any encoder.

        Args:
            preset: String or path: a folder that `save_to_preset` wrote,
                `"hf://user/name"`, or, of a `CAPIBackbone`, a name from
                `keras_capi.presets.list_presets()`. Published weights
                are downloaded once, converted, and kept in
                `~/.keras/keras_capi` (or below `KERAS_HOME`).
            load_weights: Boolean. Whether to load the weights, if there are
                any. Defaults to `True`.
            **overrides: Other arguments of the constructor than those saved,
                such as `drop_path_rate=0.1` or `dtype="mixed_bfloat16"`. With
                weights, arguments are refused that change what these compute,
                such as `num_heads`.

        Returns:
            A model of this class, or of one derived from it.

        Raises:
            ValueError: If there is no such preset, it is of another class, or
                damaged: files differ from the checksums that were saved with
                them, weights are missing, too many, NaN or infinite; or if the
                weights were trained with other arguments than the overrides.
            OSError: If published weights cannot be downloaded.

        Example:

        >>> backbone = keras_capi.models.CAPIBackbone.from_preset(
        ...     "capi_vit_large_patch14_imagenet1k"
        ... )
        """
        return load_preset(cls, preset, load_weights, overrides)

    def save_to_preset(self, path):
        """Saves configuration and weights in KerasHub's layout.

        The files also serve as the backbone of tasks of KerasHub. Their
        SHA-256 sums are in `metadata.json`.

        Args:
            path: String or path: a folder, which is made if needed, or
                `"hf://user/name"`, a repository that you can write to.

        Raises:
            OSError: If the disk has no room for it. A preset that was there
                stays as it was.
        """
        save_preset(self, path)


def save_preset(backbone, path):
    """Writes a backbone to a folder, or to the Hugging Face Hub."""
    if not str(path).startswith(HUB_PREFIX):
        _write_folder(backbone, as_path(path))
        return
    hub = import_optional("huggingface_hub", extra="hub")
    repository = str(path).removeprefix(HUB_PREFIX)
    with tempfile.TemporaryDirectory() as folder:
        _write_folder(backbone, pathlib.Path(folder))
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder)


def load_preset(cls, name, load_weights, overrides):
    """Makes a backbone of class `cls` from a name, folder or repository."""
    name = str(name)
    if name in LOADERS:
        return LOADERS[name](cls, load_weights, overrides)
    find = _files_of(name)
    metadata_file = find(METADATA_FILE, required=False)
    metadata = read_json(metadata_file) if metadata_file else {}
    config_file = find(CONFIG_FILE)
    try:
        cls, config = _read_config(cls, config_file)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{config_file} must describe a Keras model. ({error!r})"
        ) from error
    verify_checksum(config_file, metadata)
    if not load_weights:
        return _make(cls, config, overrides, config_file)
    check_overrides(cls, config, overrides)
    file = find(WEIGHTS_FILE)
    try:
        verify_checksum(file, metadata)
        if has_known_size(cls):
            check_size({**config, **overrides}, count_numbers(file), file)
        backbone = _make(cls, config, overrides, config_file)
        check_position_grid(backbone, config)
        model = feature_map_model(backbone)
        model.load_weights(file)
        check_finite_weights(model, file)
    # A damaged file leads Keras to errors of any kind.
    except Exception as error:
        raise ValueError(
            f"The weights of preset {name!r} do not fit its configuration "
            f"(with overrides {overrides}), or are damaged. ({error})"
        ) from error
    return backbone


def _files_of(name):
    """Returns a function from the name of a preset's file to its path."""
    if name.startswith(HUB_PREFIX):
        hub = import_optional("huggingface_hub", extra="hub")
        errors = import_optional("huggingface_hub.errors", extra="hub")
        repository = name.removeprefix(HUB_PREFIX)

        def find(file, required=True):
            try:
                return hub.hf_hub_download(repository, file)
            except errors.EntryNotFoundError:
                if required:
                    raise
                return None
    else:
        folder = as_path(name, "preset")
        if not folder.is_dir():
            raise ValueError(
                "A preset must be the path of a folder, `hf://user/name`, or "
                f"one of {sorted(LOADERS)}. Received: {name!r}"
            )

        def find(file, required=True):
            if (folder / file).is_file():
                return folder / file
            if required:
                raise ValueError(
                    f"A preset folder must contain {file}. Received: {name!r}"
                )
            return None

    return find


def _make(cls, config, overrides, file):
    try:
        return cls.from_config({**config, **overrides})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{file} does not describe a {cls.__name__}, with the overrides "
            f"{overrides}: {error}"
        ) from error


def feature_map_model(backbone):
    """Returns the functional model that a preset describes.

    Args:
        backbone: A model that returns `"feature_map"` among its outputs.

    Returns:
        A `keras.Model` from images to the feature map.
    """
    images = keras.Input(backbone.image_shape, name="images")
    return keras.Model(images, backbone(images)["feature_map"])


def _write_folder(backbone, folder):
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, 4 * backbone.count_params())
    model = feature_map_model(backbone)
    config = keras.saving.serialize_keras_object(model)
    # Teachers are frozen; what is loaded should train, all of it.
    _drop(config, "compile_config", "build_config", *TRAINING_KEYS)
    metadata = {
        "keras_version": keras.version(),
        "keras_capi_version": __version__,
        "parameter_count": backbone.count_params(),
    }
    # Beside their places first: what was there is lost only to what is whole.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial") as partial:
        partial = pathlib.Path(partial)
        model.save_weights(partial / WEIGHTS_FILE)
        _write_json(partial / CONFIG_FILE, config)
        metadata["sha256"] = checksums(partial)
        _write_json(partial / METADATA_FILE, metadata)
        for file in (WEIGHTS_FILE, CONFIG_FILE, METADATA_FILE):
            os.replace(partial / file, folder / file)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _drop(config, *keys):
    if isinstance(config, dict):
        for key in keys:
            config.pop(key, None)
        for value in config.values():
            _drop(value, *keys)
    elif isinstance(config, list):
        for value in config:
            _drop(value, *keys)


def _read_config(cls, file):
    """Returns the class that a file describes, and its arguments."""
    config = read_json(file)
    layers = (config, *config.get("config", {}).get("layers", ()))
    for layer in layers:
        found = find_class(layer.get("registered_name"), cls)
        if found is not None:
            _drop(layer, *TRAINING_KEYS)
            arguments = keras.saving.deserialize_keras_object(
                {"config": layer["config"]}
            )["config"]
            return found, arguments
    received = [str(layer.get("registered_name")) for layer in layers]
    raise ValueError(
        f"A preset for {cls.__name__} must contain "
        f"{keras.saving.get_registered_name(cls)}. "
        f"Received: {file} with {', '.join(received)}"
    )


def find_class(registered_name, base):
    """Returns a class by its registered name, `None` if it is of another kind.

    Args:
        registered_name: String or `None`.
        base: Class that it must be, or be derived from.
    """
    found = keras.saving.get_registered_object(registered_name)
    return found if found and issubclass(found, base) else None
