import keras
import numpy as np

from keras_capi import backend
from keras_capi.callbacks.checkpoint import Checkpoint
from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.data.image_files import find_images
from keras_capi.data.tar_shards import TarShards
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.recipes.check_recipe import CLUSTERS
from keras_capi.recipes.check_recipe import MAX_CLUSTERS
from keras_capi.recipes.check_recipe import PALETTE
from keras_capi.recipes.check_recipe import check_recipe
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.recipes.find_classes import list_parts
from keras_capi.recipes.fitted_palette import fitted_palette
from keras_capi.recipes.make_model import make_model
from keras_capi.recipes.propose_settings import choose_num_clusters
from keras_capi.recipes.raw_images import raw_images
from keras_capi.recipes.run_folder import RunFolder
from keras_capi.recipes.saved_parts import find_saved_parts
from keras_capi.recipes.stop_after_steps import StopAfterSteps

NUM_PICTURES = 200


def pretrain(recipe, output, verbose="auto"):
    """Trains the model of a recipe, and resumes an interrupted training.

    It writes to `output`: `recipe.yaml`, with all settings including defaults,
    which can repeat the training; `checkpoints`; `history.csv`; and at the end
    `model.keras` and `pictures.npy`, which `keras-capi report` turns into a
    page. With `palette: fit` there is also `palette.npy`, the colours that
    k-means found in the images. A start that fails before anything was learned
    leaves nothing behind.

    With several processes, see the page on several devices, each takes its
    share of the recipe's batches, and the first one writes.

    Args:
        recipe: Dictionary from `keras_capi.recipes.load_recipe`, with `images`:
            a `source` of `keras_capi.data.AugmentedImages`, a list of files and
            folders, or tar files, see `keras_capi.data.TarShards`.
        output: String or path. A new folder, or the folder of the same recipe,
            to resume it.
        verbose: As in `keras.Model.fit`. Defaults to `"auto"`.

    Returns:
        The trained model, of the recipe's method.

    Raises:
        ValueError: If the recipe has no images, a setting is unknown or out of
            range, a file that it names does not exist, the processes cannot
            share a batch equally, or the folder has the run of another recipe.

    Example:

    >>> recipe = keras_capi.recipes.load_recipe(
    ...     "small", ["images=photos", "training.epochs=20"]
    ... )
    >>> model = keras_capi.recipes.pretrain(recipe, "run")
    """
    if "images" not in recipe:
        raise ValueError("`images` must be in the recipe. Received: none")
    check_recipe(recipe)
    recipe = find_saved_parts(recipe)
    folder = RunFolder(output)
    is_first = backend.process_index() == 0
    training = recipe["training"]
    dataset = AugmentedImages(
        _open_images(recipe["images"]),
        **_share_batches(recipe),
        seed=training["seed"],
    )
    recipe = _with_clusters(recipe, len(dataset.source))
    if is_first:
        folder.check(recipe)
    steps = training.get("steps") or training["epochs"] * len(dataset)
    palette = fitted_palette(recipe, dataset, folder)
    own = {} if palette is None else {PALETTE: palette.tolist()}
    model = make_model({**recipe, **own}, steps)
    if getattr(model, "masking", None) is not None:
        size = dataset.image_size
        # Now, before there is a folder: raises if no mask fits the images.
        model.masking.compute_output_spec(
            keras.KerasTensor((1,)),
            grid_size=model.encoder.grid_size((size, size)),
        )
    history = keras.callbacks.CSVLogger(str(folder.history), append=True)
    try:
        if is_first:
            folder.begin(recipe, palette)
        model.fit(
            dataset,
            epochs=-(-steps // len(dataset)),
            callbacks=[
                StopAfterSteps(dataset, steps),
                *([history] if is_first else []),
                Checkpoint(folder.checkpoints, dataset),
            ],
            verbose=verbose if is_first else 0,
        )
        if is_first:
            model.save(folder.model)
    except BaseException:
        if is_first:
            # Keras leaves the file of the history open.
            history.on_train_end()
            folder.clear_failed_start()
        raise
    if is_first:
        np.save(folder.pictures, _pictures(dataset, model.encoder))
    return model


def _share_batches(recipe):
    """Returns the settings of the data for this process's share."""
    count = backend.num_processes()
    if count == 1:
        return recipe["data"]
    batch_size = with_defaults(recipe)["data"]["batch_size"]
    if batch_size % count:
        raise ValueError(
            "The processes must share each batch equally. Received: "
            f"data.batch_size={batch_size}, {count} processes"
        )
    return {
        **recipe["data"],
        "batch_size": batch_size // count,
        "share": (backend.process_index(), count),
    }


def _open_images(images):
    """Returns the source to read images from, if they are paths."""
    paths = images if isinstance(images, list | tuple) else [images]
    if not all(isinstance(path, PATH_TYPES) for path in paths):
        return images
    if all(as_path(path).suffix.lower() == ".tar" for path in paths):
        return TarShards(paths)
    return find_images(paths)


def _with_clusters(recipe, num_images):
    """Returns a recipe with the number of clusters for this many images."""
    recipe = dict(recipe)
    for section in list_parts(recipe):
        settings = dict(recipe[section])
        maximum = settings.pop(MAX_CLUSTERS, None)
        if maximum is None:
            continue
        number = choose_num_clusters(num_images, maximum)
        if number < maximum and backend.process_index() == 0:
            print(
                f"{number} clusters for {num_images} images: one for every 16, "
                f"at least 16. {section}.{CLUSTERS} sets another number."
            )
        recipe[section] = {**settings, CLUSTERS: number}
    return recipe


def _pictures(dataset, encoder):
    """Returns whole images for the report."""
    # Views may be smaller than the images that they are cropped from.
    image_size = encoder.image_shape[0] or dataset.image_size
    return raw_images(
        dataset,
        image_size,
        NUM_PICTURES,
        scale=(1.0, 1.0),
        aspect_ratio=(1.0, 1.0),
    )
