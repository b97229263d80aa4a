"""Models and presets as named on the command line."""

import contextlib
import json
import zipfile

import h5py
import keras

from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.encoders.encoder import Encoder
from keras_capi.features.extract_features import DEFAULT_IMAGE_SIZE
from keras_capi.features.extract_features import default_image_size
from keras_capi.paths import as_path
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.run_folder import MODEL_FILE
from keras_capi.recipes.run_folder import RECIPE_FILE
from keras_capi.saving.preset import find_class
from keras_capi.saving.weights_file import check_size
from keras_capi.saving.weights_file import has_known_size
from keras_capi.training.pretraining import Pretraining

NUM_CHANNELS = 3


def load_model(name):
    """Loads the model that `--model` names.

    Args:
        name: String. The folder of a run, a `.keras` file, or a preset.

    Returns:
        Tuple of the encoder, the teacher if there is one, and the pretraining
        model around it, or `None`.

    Raises:
        ValueError: If nothing has that name, it contains no encoder, or one
            for other images than commands read.
    """
    encoder, model = _load_model(name)
    num_channels = encoder.image_shape[-1]
    # Now, not after reading all images.
    if num_channels != NUM_CHANNELS:
        raise ValueError(
            "Commands read images as RGB, so that a model must take 3 "
            "channels. In Python, `predict` of the model takes arrays of "
            f"others. Received: {name} with {num_channels} channels"
        )
    return encoder, model


def _load_model(name):
    path = as_path(name, "--model")
    if (path / MODEL_FILE).is_file():
        path = path / MODEL_FILE
    elif (path / RECIPE_FILE).is_file():
        raise ValueError(
            f"The folder of a run must have {MODEL_FILE}, which is written at "
            f"the end of the training. Received: {path}"
        )
    if path.suffix != ".keras":
        with naming_the_file(name, "A preset must be complete"):
            return Encoder.from_preset(name), None
    model = load_keras_file(path)
    if isinstance(model, Pretraining):
        return model.encoder, model
    # For fine-tuned models and feature extractors.
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, Encoder):
        raise ValueError(
            "A model must be or contain an encoder of keras_capi. "
            f"Received: {path} with {type(model).__name__}"
        )
    return backbone, None


def load_keras_file(path):
    """Loads a `.keras` file without its optimizer.

    Raises:
        ValueError: If the file cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"There must be a file {path}")
    rule = "A .keras file must be one that `model.save` wrote, undamaged"
    with naming_the_file(path, rule):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} is damaged")
            config = json.loads(archive.read("config.json"))
            size = sum(part.file_size for part in archive.infolist())
        for arguments in _encoders(config):
            # A number takes at least a byte.
            check_size(arguments, size, path)
    rule = "The classes in a .keras file must be of Keras or keras_capi"
    with naming_the_file(path, rule):
        return keras.saving.load_model(path, compile=False)


def _encoders(config):
    """Yields the arguments of the encoders whose sizes they tell."""
    if isinstance(config, dict):
        found = find_class(config.get("registered_name"), Encoder)
        if found and has_known_size(found):
            yield config["config"]
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _encoders(part)


def read_num_steps(path):
    """Returns how many steps the model in a `.keras` file was trained for.

    The optimizer, whose state is twice as large as the model, is not loaded.

    Returns:
        Integer, or `None` if it has no optimizer, or has not been trained.
    """
    with zipfile.ZipFile(path) as archive:
        with archive.open("model.weights.h5") as file:
            with h5py.File(file) as weights:
                steps = weights.get("optimizer/vars/0")
                return int(steps[()]) or None if steps else None


@contextlib.contextmanager
def naming_the_file(path, rule):
    """Turns errors, except for missing packages, into ones that name the file.

    Args:
        path: String or path that is read in the context.
        rule: String. What the file must be.
    """
    try:
        yield
    except ImportError:
        raise
    # A damaged file may raise anything.
    except Exception as error:
        # Keras adds the whole configuration.
        reason = str(error).strip().partition("\n")[0]
        if str(path) in reason and isinstance(error, ValueError | OSError):
            raise
        raise ValueError(f"{rule}. Received: {path} ({reason})") from error


def choose_white_level(name, white_level):
    """Returns the white level to load images with.

    Args:
        name: String. The value of `--model`.
        white_level: Integer, or `None` for that of the training, if the recipe
            of a run has it.

    Returns:
        Integer or `None`.

    Raises:
        ValueError: If the run's recipe is damaged.
    """
    path = as_path(name, "--model")
    folder = path.parent if path.name == MODEL_FILE else path
    recipe = folder / RECIPE_FILE
    if white_level is not None or not recipe.is_file():
        return white_level
    with naming_the_file(recipe, "The recipe of a run must be complete"):
        data = read_recipe_file(recipe).get("data", {})
        white_level = data.get("white_level")
        check_white_level(white_level)
    return white_level


def choose_image_size(backbone, image_size):
    """Returns the size to load images with.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        image_size: Integer, rounded down to a multiple of the patch size; 0 to
            keep the size of each image; or `None` for the size that the model
            was made for if it is square, and otherwise 224.

    Returns:
        Integer or `None`.
    """
    patch_size = backbone.divisor
    if image_size == 0:
        return None
    if image_size is None:
        size = default_image_size(backbone)
        is_square = isinstance(size, tuple) and size[0] == size[1]
        image_size = size[0] if is_square else DEFAULT_IMAGE_SIZE
    if image_size < patch_size:
        raise ValueError(
            f"--image-size must be at least {patch_size}, the size of a patch. "
            f"Received: {image_size}"
        )
    return image_size // patch_size * patch_size
