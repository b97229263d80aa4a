import keras

from keras_capi.fitting.passed_on_arguments import list_parameters
from keras_capi.recipes.check_image_size import check_image_size
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.recipes.find_classes import find_method
from keras_capi.recipes.make_parts import make_parts
from keras_capi.recipes.make_parts import naming_the_section
from keras_capi.validation import check_positive_integer


def make_model(recipe, total_steps):
    """Makes the model that a recipe describes.

    This seeds all random generators of Keras.

    Args:
        recipe: Dictionary from `keras_capi.recipes.load_recipe`. With
            `max_num_clusters` the model gets that many clusters, and with
            `palette: fit` its default colours.
        total_steps: Integer. Batches of the whole training, for the schedules.

    Returns:
        A compiled model of the recipe's method, see `keras_capi.methods`.

    Raises:
        ValueError: If a setting is unknown or out of range, or if an encoder's
            positions are made for images of another size than that of the data
            or views.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe("small")
    >>> model = keras_capi.recipes.make_model(recipe, total_steps=5000)
    """
    check_positive_integer("total_steps", total_steps)
    recipe = with_defaults(recipe)
    training, optimizer = recipe["training"], recipe["optimizer"]
    seed = training["seed"]
    keras.utils.set_random_seed(seed)
    accumulated = optimizer["gradient_accumulation_steps"] or 1
    num_updates = max(total_steps // accumulated, 1)
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(training["precision"])
    try:
        parts = make_parts(recipe, num_updates)
        method = find_method(recipe)
        if "seed" in list_parameters(method):
            parts["seed"] = seed
        model = method(**parts)
    finally:
        keras.config.set_dtype_policy(former)
    check_image_size(recipe, parts, model)
    with naming_the_section("optimizer"):
        model.compile(
            model.published_optimizer(
                num_updates,
                batch_size=recipe["data"]["batch_size"] * accumulated,
                **optimizer,
            )
        )
    return model
