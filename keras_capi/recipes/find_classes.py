"""The functions and classes whose arguments the settings of a recipe are."""

import inspect

from keras_capi import decoders
from keras_capi import encoders
from keras_capi import layers
from keras_capi import methods
from keras_capi import optimizers
from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.fitting.passed_on_arguments import list_parameters

CLASS_NAME = "class_name"
DEFAULT_METHOD = "CAPI"
# The classes of sections that do not name one.
DEFAULT_CLASSES = {
    "backbone": "CAPIBackbone",
    "encoder": "ViT",
    "masking": "InverseBlockMasking",
    "clustering": "OnlineClustering",
}
# Where to look for the parts of a method.
SHELVES = (encoders, decoders, layers, optimizers)
# Set by `make_model` and `pretrain` themselves.
OWN_OF_PARTS = {"seed", "name"}
OWN_OF_DATA = {"source", "seed"}
OWN_OF_OPTIMIZER = {"total_steps", "batch_size", "groups"}


def find_method(recipe):
    """Returns the class of `keras_capi.methods` that a recipe names.

    Args:
        recipe: Dictionary of sections.
    """
    name = recipe.get("method", DEFAULT_METHOD)
    if name not in methods.__all__:
        raise ValueError(
            "`method` must be a class of `keras_capi.methods`: "
            f"{', '.join(methods.__all__)}. Received: method={name!r}"
        )
    return getattr(methods, name)


def find_part(section, settings):
    """Returns the class that a section describes.

    Args:
        section: String. Name of the section.
        settings: Dictionary. Content of the section.
    """
    name = settings.get(CLASS_NAME, DEFAULT_CLASSES.get(section))
    for shelf in SHELVES:
        part = getattr(shelf, name) if name in shelf.__all__ else None
        # There are functions, too.
        if inspect.isclass(part):
            return part
    raise ValueError(
        f"`{section}.{CLASS_NAME}` must be a class of encoders, decoders, "
        f"layers or optimizers. Received: {section}.{CLASS_NAME}={name!r}"
    )


def settings_of_method(recipe):
    """Returns the settings that a recipe may have for its method.

    Args:
        recipe: Dictionary of sections.

    Returns:
        Dictionary from names to `inspect.Parameter`s.
    """
    return _without(OWN_OF_PARTS, list_parameters(find_method(recipe)))


def needed_settings(recipe):
    """Returns the names of the settings that a recipe's method requires.

    Args:
        recipe: Dictionary of sections.
    """
    settings = settings_of_method(recipe)
    return [name for name, x in settings.items() if x.default is x.empty]


def settings_of_section(recipe, section):
    """Returns the settings that a section may have.

    Args:
        recipe: Dictionary of sections.
        section: String: `"data"`, `"optimizer"`, or the name of a part.

    Returns:
        Dictionary from names to `inspect.Parameter`s.
    """
    if section == "data":
        return _without(OWN_OF_DATA, list_parameters(AugmentedImages))
    if section == "optimizer":
        optimizer = find_method(recipe).published_optimizer
        return _without(OWN_OF_OPTIMIZER, list_parameters(optimizer))
    part = find_part(section, recipe[section])
    return _without(OWN_OF_PARTS, list_parameters(part))


def list_parts(recipe):
    """Returns the names of the sections that describe a part of the method.

    Args:
        recipe: Dictionary of sections.
    """
    return [
        name
        for name in settings_of_method(recipe)
        if isinstance(recipe.get(name), dict)
    ]


def _without(own, parameters):
    return {k: v for k, v in parameters.items() if k not in own}
