import inspect
import pathlib

from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.layers.masking.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.methods.capi import CAPI
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# The sections whose settings are arguments of these.
TAKEN_BY = {
    "data": AugmentedImages,
    "backbone": CAPIBackbone,
    "masking": InverseBlockMasking,
    "clustering": OnlineClustering,
    "optimizer": capi_optimizer,
}
TRAINING = {"steps", "epochs", "precision", "seed"}
SINGLE = {"images", "ema_momentum", "student_temperature"}
# What `pretrain` sets by itself.
OWN = {"source", "seed", "image_shape", "total_steps", "kwargs", "self"}
PRECISIONS = (
    "float32",
    "float16",
    "bfloat16",
    "mixed_float16",
    "mixed_bfloat16",
)


def check_recipe(recipe):
    """Raises a `ValueError` unless a recipe has known settings in range.

    Those that are arguments of the package's classes are checked there, before
    anything is written or trained, see `keras_capi.recipes.pretrain`.

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
    if training["precision"] not in PRECISIONS:
        raise ValueError(
            f"`training.precision` must be one of {', '.join(PRECISIONS)}. "
            f"Received: training.precision={training['precision']!r}"
        )
    _check_momentum(recipe["ema_momentum"])
    if "images" in recipe:
        _check_images(recipe["images"])
    clustering = recipe["clustering"]
    if "max_num_clusters" in clustering:
        if "num_clusters" in clustering:
            raise ValueError(
                "`clustering` must have either num_clusters or "
                f"max_num_clusters, not both. Received: {clustering}"
            )
        check_positive_integer(
            "clustering.max_num_clusters", clustering["max_num_clusters"]
        )
    check_positive_integer(
        "data.image_size", recipe["data"].get("image_size", 224)
    )
    steps = recipe["optimizer"].get("gradient_accumulation_steps")
    if steps is not None:
        check_positive_integer("optimizer.gradient_accumulation_steps", steps)


def with_defaults(recipe):
    """Returns a recipe that says everything, in plain values.

    What the recipe leaves out gets the defaults of this version. `images` stay
    as they are.

    Args:
        recipe: Dictionary of sections.
    """
    images = {"images": recipe["images"]} if "images" in recipe else {}
    full = {
        name: value
        for name, value in recipe.items()
        if name not in (*TAKEN_BY, *images)
    }
    for section, taker in TAKEN_BY.items():
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(taker).parameters.items()
            if name not in OWN and parameter.default is not parameter.empty
        }
        if section == "clustering" and "max_num_clusters" in recipe[section]:
            defaults.pop("num_clusters")
        full[section] = {**defaults, **recipe[section]}
    parameters = inspect.signature(CAPI).parameters
    full.setdefault(
        "student_temperature", parameters["student_temperature"].default
    )
    return {**_as_plain(full), **images}


def _as_plain(value):
    if isinstance(value, dict):
        return {name: _as_plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(x) for x in value]
    if isinstance(value, pathlib.Path):
        return str(value)
    # Of NumPy.
    return value.item() if hasattr(value, "item") else value


def _check_names(recipe):
    missing = {*TAKEN_BY, "ema_momentum", "training"} - set(recipe)
    if missing:
        raise ValueError(
            "A recipe must have all sections. Received: none for "
            f"{sorted(missing)}"
        )
    for section, content in recipe.items():
        if section in SINGLE:
            continue
        if section not in TAKEN_BY and section != "training":
            _raise_unknown({*TAKEN_BY, "training", *SINGLE}, section, [section])
        if not isinstance(content, dict):
            raise ValueError(
                f"A section must be settings with values. Received: {section}: "
                f"{content!r}"
            )
        known = TRAINING
        if section in TAKEN_BY:
            parameters = inspect.signature(TAKEN_BY[section]).parameters
            known = set(parameters) - OWN
        if section == "clustering":
            known |= {"max_num_clusters"}
        unknown = set(content) - known
        if unknown:
            _raise_unknown(known, section, sorted(map(str, unknown)))
    missing = {"precision", "seed"} - set(recipe["training"])
    if missing:
        raise ValueError(
            "`training` must have a precision and a seed. Received: none for "
            f"{sorted(missing)}"
        )


def _raise_unknown(expected, section, names):
    raise ValueError(
        f"A recipe must have known settings: {sorted(expected)}. "
        f"Received: {section}: {names}"
    )


def _check_momentum(momentum):
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


def _check_images(images):
    # A program may pass other things than paths.
    is_empty = isinstance(images, str | list) and not images
    if images is None or isinstance(images, int | float | dict) or is_empty:
        raise ValueError(
            "`images` must be a path or a list of paths. "
            f"Received: images={images!r}"
        )
