import pathlib

from keras_capi.paths import as_path
from keras_capi.recipes.check_recipe import SINGLE
from keras_capi.recipes.check_recipe import check_recipe
from keras_capi.recipes.check_recipe import settings_of_part
from keras_capi.recipes.find_classes import CLASS_NAME
from keras_capi.recipes.find_classes import settings_of_method
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.recipe_file import read_setting

FOLDER = pathlib.Path(__file__).parent
# Settings that replace each other in overrides.
ALTERNATIVES = {
    "epochs": "steps",
    "steps": "epochs",
    "num_clusters": "max_num_clusters",
    "max_num_clusters": "num_clusters",
}


def list_recipes():
    """Returns the names of the package's recipes.

    Returns:
        List of strings.

    Example:

    >>> keras_capi.recipes.list_recipes()
    ... # ["base", "demo", "dino_base", "dino_small", ...]
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(recipe, overrides=()):
    """Reads the settings of a pretraining run.

    A recipe is a YAML file. Its `method` is the name of a class of
    `keras_capi.methods`, by default CAPI. Plain arguments of that class are
    settings, such as `normalize_pixels: true`. Parts of it, such as the
    encoder, are sections: `class_name`, the name of a class of
    `keras_capi.encoders`, `decoders`, `layers` or `optimizers`, and its
    arguments. `backbone`, `encoder`, `masking` and `clustering` may leave it
    out, and are then a `CAPIBackbone`, `ViT`, `InverseBlockMasking` and
    `OnlineClustering`. An encoder takes the size of the images unless it has an
    `image_shape`, such as that of the views that a method makes of them.

    A required part that was trained before, such as `tokenizer`, is given by
    the path of its file, or of the folder of its run.

    All recipes have three more sections: `data`, arguments of
    `keras_capi.data.AugmentedImages`; `optimizer`, those of the method's
    `published_optimizer`; and `training`, with `steps` (batches) or `epochs`,
    `precision` and `seed`. `images` is a path or a list of paths.

    `ema_momentum` may be three numbers: the value at the start, after the
    warm-up and at the end. In place of `num_clusters`, `max_num_clusters` takes
    as many clusters as suit the number of images, up to that limit, see
    `keras_capi.recipes.propose_settings`.

    `palette: fit` fits the palette to the images before the training, with
    `keras_capi.methods.ImageGPT.fit_palette`.

    Floats may be written as 1e-3. YAML aliases are not supported.

    Args:
        recipe: String or path. The name of a recipe of the package, see
            `list_recipes`, or a YAML file.
        overrides: Iterable of strings such as `"backbone.num_layers=6"`. Values
            are YAML. If `class_name` is changed, the recipe's arguments that
            the new class does not have are dropped. Defaults to `()`.

    Returns:
        Dictionary of sections.

    Raises:
        ImportError: If PyYAML is not installed.
        ValueError: If there is no such recipe or setting, if a setting of the
            training is out of range, or if the file is damaged.

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
    # Classes first: other settings are for the new classes.
    for override in sorted(overrides, key=lambda x: not _sets_class(x)):
        _override(settings, override)
    check_recipe(settings)
    return settings


def _override(settings, override):
    name, equals, text = override.partition("=")
    name = name.strip()
    section, dot, setting = name.partition(".")
    single = SINGLE | set(settings_of_method(settings))
    if not equals or not (dot or section in single):
        raise ValueError(
            "Settings must have the form section.setting=value, or name=value "
            f"with one of {', '.join(sorted(single))}. Received: {override}"
        )
    value = read_setting(name, text)
    if not dot:
        settings[section] = value
        return
    if not isinstance(settings.get(section), dict):
        settings[section] = {}
    settings[section][setting] = value
    # One replaces the other.
    settings[section].pop(ALTERNATIVES.get(setting), None)
    if _sets_class(override) and section in settings_of_method(settings):
        known = settings_of_part(settings, section)
        content = settings[section]
        settings[section] = {k: v for k, v in content.items() if k in known}


def _sets_class(override):
    return override.partition("=")[0].strip().endswith(f".{CLASS_NAME}")
