import pathlib

from keras_capi.recipes.find_classes import CLASS_NAME
from keras_capi.recipes.find_classes import DEFAULT_CLASSES
from keras_capi.recipes.find_classes import DEFAULT_METHOD
from keras_capi.recipes.find_classes import find_part
from keras_capi.recipes.find_classes import list_parts
from keras_capi.recipes.find_classes import needed_settings
from keras_capi.recipes.find_classes import settings_of_method
from keras_capi.recipes.find_classes import settings_of_section
from keras_capi.validation import check_choice
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# All other names in a recipe are arguments of its method.
SECTIONS = {"data", "optimizer", "training"}
SINGLE = {"method", "images"}
TRAINING = {"steps", "epochs", "precision", "seed"}
# Replaces a number of clusters by as many as suit the number of images.
CLUSTERS, MAX_CLUSTERS = "num_clusters", "max_num_clusters"
# Asks for a palette of the images' own colours.
PALETTE, FIT = "palette", "fit"
# A model takes the size of the images, unless a recipe sets another.
FOLLOWS_FROM_DATA = "image_shape"
PRECISIONS = (
    "float32",
    "float16",
    "bfloat16",
    "mixed_float16",
    "mixed_bfloat16",
)


def check_recipe(recipe):
    """Raises a `ValueError` unless all settings are known and in range.

    Arguments of the package's classes are checked by these, before anything is
    written or trained, see `keras_capi.recipes.pretrain`.

    Args:
        recipe: Dictionary of sections.
    """
    _check_names(recipe)
    training = recipe["training"]
    if ("steps" in training) == ("epochs" in training):
        raise ValueError(
            "`training` must have either steps or epochs, not both. "
            f"Received: training={training}"
        )
    for name in {"steps", "epochs"} & set(training):
        check_positive_integer(f"training.{name}", training[name])
    check_seed("training.seed", training["seed"], or_none=False)
    check_choice("training.precision", training["precision"], PRECISIONS)
    _check_momentum(recipe)
    palette = recipe.get(PALETTE)
    if isinstance(palette, str) and not is_fitted(palette):
        raise ValueError(
            f"`{PALETTE}` must be {FIT}, for the images' own colours, colours, "
            f"or null. Received: {PALETTE}={palette!r}"
        )
    if "images" in recipe:
        _check_images(recipe["images"])
    for section in list_parts(recipe):
        _check_clusters(section, recipe[section])
    check_positive_integer(
        "data.image_size", recipe["data"].get("image_size", 224)
    )
    steps = recipe["optimizer"].get("gradient_accumulation_steps")
    if steps is not None:
        check_positive_integer("optimizer.gradient_accumulation_steps", steps)


def with_defaults(recipe):
    """Returns a complete recipe, in plain values.

    Settings that the recipe leaves out get the defaults of this version.
    `images` are not changed.

    Args:
        recipe: Dictionary of sections.
    """
    parts = list_parts(recipe)
    full = {"method": DEFAULT_METHOD, **recipe}
    # Settings of a part are not repeated.
    said = {FOLLOWS_FROM_DATA}
    for section in (*parts, "data", "optimizer"):
        settings = settings_of_section(recipe, section)
        content = recipe[section]
        defaults = _defaults(settings, without={FOLLOWS_FROM_DATA})
        if MAX_CLUSTERS in content:
            defaults.pop(CLUSTERS, None)
        if section in parts:
            said |= set(settings)
            name = find_part(section, content).__name__
            defaults = {CLASS_NAME: name, **defaults}
        full[section] = {**defaults, **content}
    full = {**full, **_defaults(settings_of_method(recipe), said), **full}
    images = {"images": full.pop("images")} if "images" in full else {}
    return {**_as_plain(full), **images}


def is_fitted(palette):
    """Whether a recipe's palette is to be fitted to the images.

    Args:
        palette: String, array or `None`.
    """
    return isinstance(palette, str) and palette == FIT


def settings_of_part(recipe, section):
    """Returns the set of names that the section of a part may have.

    Args:
        recipe: Dictionary of sections.
        section: String. An argument of the recipe's method.
    """
    names = {CLASS_NAME, *settings_of_section(recipe, section)}
    return names | {MAX_CLUSTERS} if CLUSTERS in names else names


def _defaults(settings, without):
    return {
        name: parameter.default
        for name, parameter in settings.items()
        if name not in without and parameter.default is not parameter.empty
    }


def _as_plain(value):
    if isinstance(value, dict):
        return {name: _as_plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(x) for x in value]
    if isinstance(value, pathlib.Path):
        return str(value)
    # NumPy's numbers.
    return value.item() if hasattr(value, "item") else value


def _check_names(recipe):
    settings = settings_of_method(recipe)
    missing = (SECTIONS | set(needed_settings(recipe))) - set(recipe)
    if missing:
        raise ValueError(
            "A recipe must have all sections. Received: none for "
            f"{sorted(missing)}"
        )
    known = SECTIONS | SINGLE | set(settings)
    for section, content in recipe.items():
        if section not in known:
            _raise_unknown(known, section, [section])
        if content is None and _may_be_none(settings, section):
            continue
        if section in SECTIONS or section in DEFAULT_CLASSES:
            _check_is_section(section, content)
        if section in SINGLE or not isinstance(content, dict):
            continue
        if section == "training":
            allowed = TRAINING
        elif section in settings:
            allowed = settings_of_part(recipe, section)
        else:
            allowed = set(settings_of_section(recipe, section))
        unknown = set(content) - allowed
        if unknown:
            _raise_unknown(allowed, section, sorted(map(str, unknown)))
    missing = {"precision", "seed"} - set(recipe["training"])
    if missing:
        raise ValueError(
            "`training` must have a precision and a seed. Received: none for "
            f"{sorted(missing)}"
        )


def _may_be_none(settings, section):
    return section in settings and settings[section].default is None


def _check_is_section(section, content):
    if not isinstance(content, dict):
        raise ValueError(
            f"A section must be settings with values. Received: {section}: "
            f"{content!r}"
        )


def _raise_unknown(expected, section, names):
    raise ValueError(
        f"A recipe must have known settings: {sorted(expected)}. "
        f"Received: {section}: {names}"
    )


def _check_momentum(recipe):
    momentum = recipe.get("ema_momentum")
    parameter = settings_of_method(recipe).get("ema_momentum")
    is_left_out = "ema_momentum" not in recipe or (
        momentum is None and parameter.default is None
    )
    if is_left_out or isinstance(momentum, dict):
        return
    values = momentum
    if not isinstance(momentum, list | tuple):
        values = [momentum]
    if len(values) not in (1, 3) or not all(map(_is_share, values)):
        raise ValueError(
            "`ema_momentum` must be a number in [0, 1], or three: the start, "
            "the value after the warm-up, and the end. "
            f"Received: ema_momentum={momentum}"
        )


def _is_share(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0.0 <= value <= 1.0


def _check_clusters(section, content):
    if MAX_CLUSTERS not in content:
        return
    if CLUSTERS in content:
        raise ValueError(
            f"`{section}` must have either {CLUSTERS} or {MAX_CLUSTERS}, not "
            f"both. Received: {content}"
        )
    check_positive_integer(f"{section}.{MAX_CLUSTERS}", content[MAX_CLUSTERS])


def _check_images(images):
    # A program may pass something other than paths.
    is_empty = isinstance(images, str | list) and not images
    if images is None or isinstance(images, int | float | dict) or is_empty:
        raise ValueError(
            "`images` must be a path or a list of paths. "
            f"Received: images={images!r}"
        )
