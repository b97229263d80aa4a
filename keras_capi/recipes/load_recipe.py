import pathlib

from keras_capi.paths import as_path
from keras_capi.recipes.check_recipe import SINGLE
from keras_capi.recipes.check_recipe import check_recipe
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.recipe_file import read_setting

FOLDER = pathlib.Path(__file__).parent
# What takes the place of what, in overrides.
ALTERNATIVES = {
    "training.epochs": ["steps"],
    "training.steps": ["epochs"],
    "clustering.num_clusters": ["max_num_clusters"],
    "clustering.max_num_clusters": ["num_clusters"],
}


def list_recipes():
    """Returns the names of the recipes that the package has.

    Returns:
        List of strings.

    Example:

    >>> keras_capi.recipes.list_recipes()
    ... # ["base", "demo", "paper_large", "small"]
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(recipe, overrides=()):
    """Reads the settings of a pretraining.

    A recipe is a YAML file with these sections: `data`, `backbone`, `masking`,
    `clustering` and `optimizer`, whose settings are arguments of
    `keras_capi.data.AugmentedImages`, `keras_capi.models.CAPIBackbone`,
    `keras_capi.layers.InverseBlockMasking`,
    `keras_capi.layers.OnlineClustering` and
    `keras_capi.optimizers.capi_optimizer`; `ema_momentum`, a number or three,
    the start, the value after the warm-up and the end; `training`, with `steps`
    (batches) or `epochs`, `precision` and `seed`; and, if need be,
    `student_temperature`, see `keras_capi.models.CAPI`, and `images`, a path or
    a list of paths. In `clustering`, `max_num_clusters` in place of
    `num_clusters` takes as many as suit the number of images, see
    `keras_capi.recipes.propose_settings`.

    Floats may be written as 1e-3. Aliases of YAML are not taken.

    Args:
        recipe: String or path. The name of a recipe of the package, see
            `list_recipes`, or a YAML file.
        overrides: Iterable of strings such as `"backbone.num_layers=6"`. Values
            are YAML. Defaults to `()`.

    Returns:
        Dictionary of sections.

    Raises:
        ImportError: If PyYAML is not installed.
        ValueError: If there is no such recipe or no such setting, if a setting
            of the training is out of range, or if the file is damaged.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe(
    ...     "small", ["backbone.num_layers=6", "training.epochs=20"]
    ... )
    """
    path = as_path(recipe, "recipe")
    if str(recipe) in list_recipes():
        path = FOLDER / f"{recipe}.yaml"
    if not path.is_file():
        raise ValueError(
            f"A recipe must be one of {', '.join(list_recipes())}, or a YAML "
            f"file. Received: {recipe}"
        )
    settings = read_recipe_file(path)
    for override in overrides:
        _override(settings, override)
    check_recipe(settings)
    return settings


def _override(settings, override):
    name, equals, text = override.partition("=")
    section, dot, setting = name.partition(".")
    if not equals or not (dot or section in SINGLE):
        raise ValueError(
            "Settings must have the form section.setting=value. "
            f"Received: {override}"
        )
    value = read_setting(name, text)
    if not dot:
        settings[section] = value
        return
    if not isinstance(settings.get(section), dict):
        settings[section] = {}
    settings[section][setting] = value
    # One takes the place of the other.
    for former in ALTERNATIVES.get(name, ()):
        settings[section].pop(former, None)
