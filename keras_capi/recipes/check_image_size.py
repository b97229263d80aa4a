import keras

from keras_capi.encoders.encoder import Encoder
from keras_capi.recipes.check_recipe import FOLLOWS_FROM_DATA


def check_image_size(recipe, parts, model):
    """Raises a `ValueError` if an encoder's positions are for other images.

    They would be resampled in each step, and learn little of their own.
    Encoders without such positions, as with rotary ones, train on any size.

    Args:
        recipe: Dictionary of sections, complete.
        parts: Dictionary of the method's arguments.
        model: The model of the recipe's method that was made from them.
    """
    size, source = _size_of_images(recipe, model)
    for section, encoder in parts.items():
        if not isinstance(encoder, Encoder) or size is None:
            continue
        grid = encoder.position_grid
        if grid is None or encoder.grid_size(size) == tuple(grid):
            continue
        raise ValueError(
            f"`{section}.{FOLLOWS_FROM_DATA}` must be the size that images "
            "have in training, as the encoder's positions are made for it. "
            f"Received: {section}.{FOLLOWS_FROM_DATA}="
            f"{list(encoder.image_shape)}, and {source} of "
            f"{' x '.join(map(str, size))} pixels"
        )


def _size_of_images(recipe, model):
    """Returns the size of what an encoder sees, and what this is.

    It is `None` where it is to be any, as that of the parts of an image whose
    places are to be told.
    """
    size = recipe["data"]["image_size"]
    views = getattr(model, "views", None)
    if views is None:
        return (size, size), "images (data.image_size)"
    made = views.compute_output_spec(keras.KerasTensor((1, size, size, 3)))
    if isinstance(made, dict):
        made = made.get("global_views")
    return None if made is None else tuple(made.shape[-3:-1]), "views"
