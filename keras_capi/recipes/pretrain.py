import pathlib

import keras
import numpy as np

from keras_capi.callbacks.checkpoint import Checkpoint
from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.data.image_loader import ImageLoader
from keras_capi.optional_imports import import_optional
from keras_capi.recipes.make_model import make_model
from keras_capi.version import __version__

MODEL_FILE = "model.keras"
RECIPE_FILE = "recipe.yaml"
PICTURES_FILE = "pictures.npy"
HISTORY_FILE = "history.csv"
NUM_PICTURES = 200


def pretrain(recipe, output, verbose="auto"):
    """Trains a model as a recipe says, and goes on if it was interrupted.

    Writes to `output`: `recipe.yaml`, with which the same can be done again,
    `checkpoints`, `history.csv`, and at the end `model.keras` and
    `pictures.npy`, of which `keras-capi report` makes a page.

    Args:
        recipe: Dictionary from `keras_capi.recipes.load_recipe`, with `images`,
            what `keras_capi.data.AugmentedImages` takes as `source`.
        output: String or path. A folder: a new one, or that of the same
            recipe.
        verbose: As in `keras.Model.fit`. Defaults to `"auto"`.

    Returns:
        The trained `keras_capi.models.CAPI`.

    Raises:
        ValueError: If the recipe has no images, has both steps and epochs or
            neither, or if the folder has the run of another recipe.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe(
    ...     "small", ["images=photos", "training.epochs=20"]
    ... )
    >>> model = keras_capi.recipes.pretrain(recipe, "run")
    """
    training = recipe["training"]
    if "images" not in recipe:
        raise ValueError("`images` must be in the recipe. Received: none")
    if ("steps" in training) == ("epochs" in training):
        raise ValueError(
            "`training` must have either steps or epochs, not both. "
            f"Received: training={training}"
        )
    dataset = AugmentedImages(
        recipe["images"], **recipe["data"], seed=training["seed"]
    )
    output = pathlib.Path(output)
    _keep_recipe(recipe, output / RECIPE_FILE)
    epochs = training.get("epochs") or -(-training["steps"] // len(dataset))

    model = make_model(recipe, epochs * len(dataset))
    model.fit(
        dataset,
        epochs=epochs,
        callbacks=[
            keras.callbacks.CSVLogger(str(output / HISTORY_FILE), append=True),
            Checkpoint(output / "checkpoints", dataset),
        ],
        verbose=verbose,
    )
    model.save(output / MODEL_FILE)
    np.save(output / PICTURES_FILE, _pictures(dataset))
    return model


def _keep_recipe(recipe, path):
    yaml = import_optional("yaml", extra="cli")
    if path.is_file():
        if yaml.safe_load(path.read_text()) != recipe:
            raise ValueError(
                "A folder must have the run of one recipe. Choose another "
                f"folder, or delete it. Received: {path.parent}, with another "
                "recipe.yaml"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # What the recipe leaves out are defaults of this version.
    heading = (
        f"# Written by keras-capi {__version__} with Keras {keras.version()} "
        f"on {keras.backend.backend()}.\n"
    )
    path.write_text(heading + yaml.safe_dump(recipe, sort_keys=False))


def _pictures(dataset):
    """Some images as they are, without augmentation, for the report."""
    loader = ImageLoader(
        dataset.source[:NUM_PICTURES],
        dataset.image_size,
        crop_ratio=1.0,
        patch_size=1,
        normalization=lambda images: images,
    )
    return np.concatenate([images for _, images in loader]).astype("uint8")
