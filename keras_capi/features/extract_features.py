import keras
import numpy as np

from keras_capi.data.image_loader import ImageLoader
from keras_capi.features.feature_file import open_feature_file
from keras_capi.tasks.feature_extractor import FeatureExtractor
from keras_capi.validation import is_integer
from keras_capi.version import __version__

DEFAULT_IMAGE_SIZE = 224


def extract_features(
    backbone,
    images,
    features=("global",),
    image_size="model",
    batch_size=32,
    output=None,
    verbose="auto",
):
    """Extracts features of any number of images, to memory or to a file.

    Args:
        backbone: `keras_capi.encoders.Encoder`, such as `model.encoder`.
        images: Anything that `keras_capi.data.ImageLoader` takes (a folder,
            files, PIL images, uint8 arrays), or an `ImageLoader`, to prepare
            the images in another way than the default.
        features: Tuple of names, see `keras_capi.tasks.FeatureExtractor`.
            Defaults to `("global",)`.
        image_size: Integer, tuple `(height, width)` or `None`, see
            `ImageLoader`; or `"model"`, the size that the model was made for,
            `backbone.image_shape`, or 224 if that leaves it open. An integer is
            rounded down to a multiple of the patch size. Not used with a
            loader. Defaults to `"model"`.
        batch_size: Integer. Not used with a loader. Defaults to `32`.
        output: String or path that ends in `.npy` (one feature), `.h5` or
            `.hdf5`, to write to batch by batch, for more features than fit into
            memory. Names that are not UTF-8 are written with escapes like
            `\\udcff`. Defaults to `None`.
        verbose: `"auto"`, 0 or 1. Whether to show a progress bar. `"auto"`
            does. Defaults to `"auto"`.

    Returns:
        Tuple: the names of the images, in order; and with `output=None` a
        dictionary from feature to float32 array, whose first axis is that of
        the images, otherwise the path of the file.

    Raises:
        OSError: If the disk of `output` has no room for all features, which is
            checked at the first batch, or cannot be written to.
        ValueError: If the images or names of features are wrong, no image can
            be read, or if images of different sizes are to give a feature whose
            shape depends on the size. Sizes are read from headers first.

    Example:

    >>> names, features = keras_capi.features.extract_features(
    ...     backbone, "holidays", features=("global", "average")
    ... )
    >>> features["global"].shape  # (number of images, width)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    extractor = FeatureExtractor(backbone, features)
    if isinstance(images, ImageLoader):
        loader = images
    else:
        patch_size = backbone.divisor
        if image_size == "model":
            image_size = default_image_size(backbone)
        if is_integer(image_size) and image_size >= patch_size:
            image_size = image_size // patch_size * patch_size
        loader = ImageLoader(
            images,
            image_size=image_size,
            patch_size=patch_size,
            batch_size=batch_size,
        )
    _check_shapes_agree(extractor, loader)
    batches = _run(extractor, loader, verbose)
    if output is None:
        return _collect(batches, len(loader.names))
    names = []
    attributes = {
        "keras_capi_version": __version__,
        "backbone": backbone.get_config(),
        "image_size": loader.image_size,
        "crop_ratio": loader.crop_ratio,
    }
    with open_feature_file(
        output, extractor.features, attributes, len(loader.names)
    ) as file:
        for batch_names, values in batches:
            file.append(batch_names, values)
            names += batch_names
        _check_any(names)
    return names, str(file.path) if isinstance(output, str) else file.path


def default_image_size(backbone):
    """Returns the height and width that a backbone was made for, or 224."""
    size = backbone.image_shape[:2]
    return DEFAULT_IMAGE_SIZE if None in size else size


def _check_shapes_agree(extractor, loader):
    """Raises a `ValueError` before any work if features cannot be stacked."""

    def shapes_for(size):
        specs = extractor.compute_output_spec(keras.KerasTensor((1, *size, 3)))
        return {name: spec.shape[1:] for name, spec in specs.items()}

    if loader.image_size is not None:
        return
    of_any_size = shapes_for((None, None)).values()
    if not any(None in shape for shape in of_any_size):
        return
    shapes = {}
    for size in loader.find_sizes():
        _check_shapes(shapes, shapes_for(size))


def _check_shapes(expected, shapes):
    for name, shape in shapes.items():
        if shape != expected.setdefault(name, shape):
            raise ValueError(
                f"All images must give `{name}` of one shape: load them with "
                "an `image_size` (on the command line with `--image-size`, "
                "above 0), or choose 'global', 'average' or 'prefix'. "
                f"Received: shapes {expected[name]} and {shape}"
            )


def _run(extractor, loader, verbose):
    # If sizes vary, the number of batches is not known in advance.
    progress = keras.utils.Progbar(
        None if loader.image_size is None else len(loader),
        verbose=1 if verbose == "auto" else verbose,
    )
    step, shapes = 0, {}
    for names, images in loader:
        # A smaller batch would be compiled again.
        padding = max(loader.batch_size - len(images), 0) if step else 0
        padded = np.pad(images, ((0, padding), *((0, 0),) * 3))
        values = extractor.predict_on_batch(padded)
        _check_shapes(
            shapes, {k: tuple(value.shape[1:]) for k, value in values.items()}
        )
        yield (
            names,
            {
                name: np.asarray(values[name][: len(images)], "float32")
                for name in extractor.features
            },
        )
        step += 1
        progress.update(step, finalize=False)
    if step:
        progress.update(step, finalize=True)


def _collect(batches, count):
    names, collected = [], {}
    for batch_names, values in batches:
        rows = slice(len(names), len(names) + len(batch_names))
        names += batch_names
        for name, value in values.items():
            if name not in collected:
                # Parts to be joined would take the memory twice.
                shape = (count, *value.shape[1:])
                collected[name] = np.empty(shape, value.dtype)
            collected[name][rows] = value
    _check_any(names)
    # Without the rows of images that could not be read.
    return names, {
        name: values[: len(names)] for name, values in collected.items()
    }


def _check_any(names):
    if not names:
        raise ValueError(
            "At least one image must be readable; the warning above says what "
            "is wrong with each. Received: none"
        )
