import keras
import numpy as np

from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.paths import check_output
from keras_capi.recipes.check_recipe import check_recipe
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.recipe_file import write_recipe_file
from keras_capi.version import __version__

MODEL_FILE = "model.keras"
RECIPE_FILE = "recipe.yaml"
PICTURES_FILE = "pictures.npy"
PALETTE_FILE = "palette.npy"
HISTORY_FILE = "history.csv"
CHECKPOINTS = "checkpoints"
HEADING = "# Written by keras-capi"
# Of a value in an error.
MAX_LENGTH = 200


class RunFolder:
    """The folder of a training with a recipe.

    It has a run as soon as there is a checkpoint or a model. What a failed
    attempt leaves before that is removed, or written again.

    Args:
        path: String or path.

    Raises:
        ValueError: If the folder cannot be written.
    """

    def __init__(self, path):
        self.path = as_path(path, "output")
        check_output("output", self.path, is_folder=True)
        self.model = self.path / MODEL_FILE
        self.pictures = self.path / PICTURES_FILE
        self.palette = self.path / PALETTE_FILE
        self.history = self.path / HISTORY_FILE
        self.checkpoints = self.path / CHECKPOINTS
        self._recipe = self.path / RECIPE_FILE

    @property
    def has_run(self):
        return self.model.exists() or any(self.checkpoints.glob("*/*"))

    def check(self, recipe):
        """Raises a `ValueError` if the folder has the run of another recipe.

        Also if it has another recipe, written by somebody.

        Args:
            recipe: Dictionary of sections.
        """
        if not self._must_keep_recipe():
            return
        stored = read_recipe_file(self._recipe)
        try:
            check_recipe(stored)
        except ValueError as error:
            raise ValueError(
                f"{self._recipe} must be a recipe, or choose another folder. "
                f"({error})"
            ) from error
        stored = _comparable(stored)
        given = _comparable(recipe)
        different = [
            f"{name} is {_brief(given.get(name, 'missing'))}, was "
            f"{_brief(stored.get(name, 'missing'))}"
            for name in {**stored, **given}
            if stored.get(name) != given.get(name)
        ]
        if different:
            raise ValueError(
                "A folder must have the run of only one recipe. Choose another "
                f"folder, resume with --recipe {self._recipe}, or delete the "
                f"folder. Received: {self.path}, but {'; '.join(different)}"
            )

    def begin(self, recipe, palette=None):
        """Writes the recipe, unless there is a run to resume.

        Args:
            recipe: Dictionary of sections.
            palette: Array of colours that were fitted for it, or `None`.
                Defaults to `None`.
        """
        if palette is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            np.save(self.palette, palette)
        if self._must_keep_recipe():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        full = with_defaults(recipe)
        heading = (
            f"{HEADING} {__version__} with Keras {keras.version()} on "
            f"{keras.backend.backend()}.\n"
        )
        paths = _paths(full.pop("images"))
        if paths is None:
            heading += "# The images were given by a program.\n"
        else:
            full["images"] = paths
        write_recipe_file(self._recipe, full, heading)

    def clear_failed_start(self):
        """Removes what `begin` and callbacks wrote, if no step was saved."""
        # If another process has just started, its lock is there.
        if self.has_run or any(self.checkpoints.glob("*")):
            return
        if not self._must_keep_recipe():
            self._recipe.unlink(missing_ok=True)
        self.palette.unlink(missing_ok=True)
        if self.history.is_file() and not self.history.stat().st_size:
            self.history.unlink()
        for folder in (self.checkpoints, self.path):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _must_keep_recipe(self):
        if not self._recipe.is_file():
            return False
        with open(self._recipe, "rb") as file:
            is_own = file.read(len(HEADING)) == HEADING.encode()
        return self.has_run or not is_own


def _brief(value):
    # Images may be a list of thousands of files.
    text = str(value)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


def _paths(images):
    """Returns paths as absolute text, so that a recipe works anywhere.

    `None` for images that are not paths.
    """
    if isinstance(images, list | tuple):
        paths = [_paths(image) for image in images]
        return None if None in paths or not paths else paths
    if isinstance(images, PATH_TYPES):
        return str(as_path(images, "images").absolute())
    return None


def _comparable(recipe):
    """Returns a dictionary from `section.setting` to value."""
    full = with_defaults(recipe)
    full["images"] = _paths(full.get("images"))
    flat = {}
    for name, value in full.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": x for key, x in value.items()}
        else:
            flat[name] = value
    # Batches do not depend on the number of threads.
    flat.pop("data.workers")
    return flat
