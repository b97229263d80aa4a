import contextlib

from keras_capi.encoders.encoder import Encoder
from keras_capi.fitting.passed_on_arguments import list_parameters
from keras_capi.layers.related_seed import related_seed
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.recipes.check_recipe import CLUSTERS
from keras_capi.recipes.check_recipe import FOLLOWS_FROM_DATA
from keras_capi.recipes.check_recipe import MAX_CLUSTERS
from keras_capi.recipes.check_recipe import is_fitted
from keras_capi.recipes.find_classes import CLASS_NAME
from keras_capi.recipes.find_classes import find_part
from keras_capi.recipes.find_classes import list_parts
from keras_capi.recipes.find_classes import settings_of_method
from keras_capi.recipes.saved_parts import list_saved_parts
from keras_capi.recipes.saved_parts import load_saved_part

# The encoder's stochastic depth uses the first two seeds.
FIRST_SEED = 2


def make_parts(recipe, num_updates):
    """Makes the constructor arguments of a recipe's method.

    Args:
        recipe: Dictionary of sections, complete.
        num_updates: Integer. Updates of the whole training, for schedules.

    Returns:
        Dictionary of arguments.
    """
    arguments = {
        name: recipe[name]
        for name in settings_of_method(recipe)
        if name in recipe and not is_fitted(recipe[name])
    }
    seed = recipe["training"]["seed"]
    size = recipe["data"]["image_size"]
    classes = {x: find_part(x, recipe[x]) for x in list_parts(recipe)}
    encoder, num_seeds = None, FIRST_SEED
    # Encoders first: the sizes of other parts follow from them.
    for section, part in sorted(
        classes.items(), key=lambda x: not issubclass(x[1], Encoder)
    ):
        settings = dict(recipe[section])
        settings.pop(CLASS_NAME)
        if MAX_CLUSTERS in settings:
            settings[CLUSTERS] = settings.pop(MAX_CLUSTERS)
        known = list_parameters(part)
        is_encoder = issubclass(part, Encoder)
        if FOLLOWS_FROM_DATA in known:
            settings.setdefault(FOLLOWS_FROM_DATA, (size, size, 3))
        if "seed" in known and is_encoder:
            settings["seed"] = seed
        elif "seed" in known:
            settings["seed"] = related_seed(seed, num_seeds)
            num_seeds += 1
        with naming_the_section(section):
            if hasattr(part, "for_encoder"):
                made = part.for_encoder(encoder, **settings)
            else:
                made = part(**settings)
        arguments[section] = made
        encoder = made if is_encoder else encoder
    for name in list_saved_parts(recipe):
        arguments[name] = load_saved_part(name, recipe[name])
    return _with_momentum(arguments, recipe, num_updates)


def _with_momentum(arguments, recipe, num_updates):
    """Turns three numbers into a schedule."""
    momentum = arguments.get("ema_momentum")
    if not isinstance(momentum, list):
        return arguments
    start, value, end = momentum
    warmup_steps = recipe["optimizer"].get("warmup_steps")
    if warmup_steps is None:
        warmup_steps = num_updates // 10
    schedule = WarmupCosine(
        value, num_updates, warmup_steps, start_value=start, final_value=end
    )
    return {**arguments, "ema_momentum": schedule}


@contextlib.contextmanager
def naming_the_section(section):
    """Adds to errors which section of the recipe they concern.

    Args:
        section: String.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error} (in the recipe's `{section}`)") from error
