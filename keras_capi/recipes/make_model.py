import keras

from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.layers.masking.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.methods.capi import CAPI
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.validation import check_positive_integer


def make_model(recipe, total_steps):
    """Makes a model as a recipe describes it.

    Seeds all random generators of Keras.

    Args:
        recipe: Dictionary from `keras_capi.recipes.load_recipe`. With
            `max_num_clusters` the model gets that many.
        total_steps: Integer. Batches of the whole training, for the schedules.

    Returns:
        Compiled `keras_capi.models.CAPI`.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe("small")
    >>> model = keras_capi.recipes.make_model(recipe, total_steps=5000)
    """
    check_positive_integer("total_steps", total_steps)
    recipe = with_defaults(recipe)
    training = recipe["training"]
    seed = training["seed"]
    keras.utils.set_random_seed(seed)
    image_size = recipe["data"]["image_size"]
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(training["precision"])
    try:
        backbone = CAPIBackbone(
            **recipe["backbone"],
            image_shape=(image_size, image_size, 3),
            seed=seed,
        )
        masking = InverseBlockMasking(
            **recipe["masking"], seed=related_seed(seed, 2)
        )
        clustering = OnlineClustering(
            **_resolve_clusters(recipe["clustering"]), name="clustering"
        )
    finally:
        keras.config.set_dtype_policy(former)

    optimizer = recipe["optimizer"]
    accumulated = optimizer["gradient_accumulation_steps"] or 1
    num_updates = max(total_steps // accumulated, 1)
    warmup_steps = optimizer["warmup_steps"]
    if warmup_steps is None:
        warmup_steps = num_updates // 10
    momentum = recipe["ema_momentum"]
    if not isinstance(momentum, int | float):
        start, value, end = momentum
        momentum = WarmupCosine(
            value, num_updates, warmup_steps, start_value=start, final_value=end
        )
    model = CAPI(
        backbone,
        masking=masking,
        clustering=clustering,
        student_temperature=recipe["student_temperature"],
        ema_momentum=momentum,
        seed=seed,
    )
    schedule = {"total_steps": num_updates, "warmup_steps": warmup_steps}
    model.compile(capi_optimizer(**{**optimizer, **schedule}))
    return model


def _resolve_clusters(clustering):
    settings = dict(clustering)
    if "max_num_clusters" in settings:
        settings["num_clusters"] = settings.pop("max_num_clusters")
    return settings
