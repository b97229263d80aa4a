import contextlib
import inspect
import pathlib

from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.layers.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.online_clustering import OnlineClustering
from keras_capi.models.capi_backbone import CAPIBackbone
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optional_imports import import_optional

FOLDER = pathlib.Path(__file__).parent
# The sections whose settings are arguments of these.
TAKEN_BY = {
    "data": AugmentedImages,
    "backbone": CAPIBackbone,
    "masking": InverseBlockMasking,
    "clustering": OnlineClustering,
    "optimizer": capi_optimizer,
}
TRAINING = {"steps", "epochs", "precision", "seed"}
SINGLE = {"images", "ema_momentum"}
# What `pretrain` sets by itself.
OWN = {"source", "seed", "image_shape", "total_steps", "kwargs", "self"}


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
    or `epochs`, `precision` and `seed`; and, in recipes of finished runs,
    `images`.

    Args:
        recipe: String or path. The name of a recipe of the package, see
            `list_recipes`, or a YAML file.
        overrides: Iterable of strings such as `"backbone.num_layers=6"`. Values
            are YAML. Defaults to `()`.

    Returns:
        Dictionary of sections.

    Raises:
        ImportError: If PyYAML is not installed.
        ValueError: If there is no such recipe, or no such setting.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe(
    ...     "small", ["backbone.num_layers=6", "training.epochs=20"]
    ... )
    """
    yaml = import_optional("yaml", extra="cli")
    path = pathlib.Path(recipe)
    if str(recipe) in list_recipes():
        path = FOLDER / f"{recipe}.yaml"
    if not path.is_file():
        raise ValueError(
            f"A recipe must be one of {', '.join(list_recipes())}, or a YAML "
            f"file. Received: {recipe}"
        )
    settings = yaml.safe_load(path.read_text())
    if not isinstance(settings, dict):
        raise ValueError(f"A recipe must have sections. Received: {path}")
    for override in overrides:
        name, equals, value = override.partition("=")
        section, dot, setting = name.partition(".")
        if not equals or not (dot or section in SINGLE):
            raise ValueError(
                "Settings must have the form section.setting=value. "
                f"Received: {override}"
            )
        value = yaml.safe_load(value)
        if dot:
            settings.setdefault(section, {})[setting] = value
            # One takes the place of the other.
            if name == "training.epochs":
                settings["training"].pop("steps", None)
            elif name == "training.steps":
                settings["training"].pop("epochs", None)
        else:
            settings[section] = value
    settings = _with_numbers(settings)
    _check_settings(settings)
    return settings


def _with_numbers(value):
    """Turns strings such as 1e-3, which YAML takes for text, into floats."""
    if isinstance(value, dict):
        return {name: _with_numbers(x) for name, x in value.items()}
    if isinstance(value, list):
        return [_with_numbers(x) for x in value]
    if isinstance(value, str) and value[:1] in "0123456789.-+":
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _check_settings(settings):
    missing = {*TAKEN_BY, "ema_momentum", "training"} - set(settings)
    if missing:
        raise ValueError(
            "A recipe must have all sections. Received: none for "
            f"{sorted(missing)}"
        )
    missing = {"precision", "seed"} - set(settings["training"])
    if missing:
        raise ValueError(
            "`training` must have a precision and a seed. Received: none for "
            f"{sorted(missing)}"
        )
    for section, content in settings.items():
        if section in SINGLE:
            continue
        if section == "training":
            known = TRAINING
        elif section in TAKEN_BY:
            parameters = inspect.signature(TAKEN_BY[section]).parameters
            known = set(parameters) - OWN
        else:
            known = None
        unknown = [section] if known is None else set(content or ()) - known
        if unknown:
            expected = known or {*TAKEN_BY, "training", *SINGLE}
            raise ValueError(
                f"A recipe must have known settings: {sorted(expected)}. "
                f"Received: {section}: {sorted(unknown)}"
            )
