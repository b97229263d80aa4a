"""The palette of a recipe, fitted to its images."""

import numpy as np

from keras_capi.recipes.check_recipe import PALETTE
from keras_capi.recipes.check_recipe import is_fitted
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.recipes.find_classes import find_method
from keras_capi.recipes.make_parts import naming_the_section
from keras_capi.recipes.raw_images import raw_images

# More would not change the colours much.
NUM_IMAGES = 2048


def fitted_palette(recipe, dataset, folder):
    """Returns the colours for `palette: fit`, or `None` without it.

    If the folder has a run, they are the colours that it started with.

    Args:
        recipe: Dictionary of sections.
        dataset: `keras_capi.data.AugmentedImages` of the recipe's images.
        folder: `RunFolder`.

    Returns:
        Float32 array of shape `(num_colors, 3)`, from -1 to 1, or `None`.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If the images have fewer colours than the palette.
    """
    if not is_fitted(recipe.get(PALETTE)):
        return None
    if folder.has_run and folder.palette.is_file():
        return np.load(folder.palette)
    encoder = with_defaults(recipe)["encoder"]
    image_size = int(np.max(encoder["image_size"]))
    with naming_the_section(PALETTE):
        colors = find_method(recipe).fit_palette(
            # Cropped as in the training.
            raw_images(dataset, image_size, NUM_IMAGES),
            encoder["num_colors"],
            seed=dataset.seed,
        )
    # Rounded to be the same for any number of threads, which add in any order.
    return colors.round(4)
