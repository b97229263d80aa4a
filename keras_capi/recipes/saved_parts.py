"""Parts of a method that were trained before, given by their files."""

import keras

from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.recipes.find_classes import needed_settings
from keras_capi.recipes.run_folder import MODEL_FILE

# The recipe that trains one.
RECIPES = {"tokenizer": "discrete_vae_small"}


def find_saved_parts(recipe):
    """Returns a recipe with absolute paths to the models that it names.

    These are required parts of a method that are given by a path instead of a
    section.

    Args:
        recipe: Dictionary of sections.

    Raises:
        ValueError: If there is no such file.
    """
    return {
        **recipe,
        **{
            name: str(_find(name, recipe[name]))
            for name in list_saved_parts(recipe)
        },
    }


def list_saved_parts(recipe):
    """Returns the names of the settings that are paths of saved models.

    Args:
        recipe: Dictionary of sections.
    """
    return [
        name
        for name in needed_settings(recipe)
        if isinstance(recipe.get(name), PATH_TYPES)
    ]


def load_saved_part(name, path):
    """Loads a part of a method from its file.

    Args:
        name: String. Its name in the recipe.
        path: String or path.

    Raises:
        ValueError: If there is no such file, or it cannot be read.
    """
    path = _find(name, path)
    try:
        return keras.saving.load_model(path, compile=False)
    # A damaged file may raise anything.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"`{name}` must be a file that `model.save` wrote, undamaged. "
            f"Received: {name}={path} ({reason})"
        ) from error


def _find(name, path):
    path = as_path(path, name).absolute()
    if (path / MODEL_FILE).is_file():
        path = path / MODEL_FILE
    if path.is_file():
        return path
    message = (
        f"`{name}` must be a file that `model.save` wrote, or the folder of a "
        f"run. Received: {name}={path}, which is not there."
    )
    if name in RECIPES:
        message += (
            f" `keras-capi pretrain IMAGES --recipe {RECIPES[name]} --out "
            f"{name}_run` trains one for `--set {name}={name}_run`."
        )
    raise ValueError(message)
