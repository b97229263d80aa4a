import unicodedata
import warnings

import numpy as np

from keras_capi.data.decode_image import decode_to_pillow
from keras_capi.data.image_files import EXTENSIONS
from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import find_images
from keras_capi.data.image_files import name_some
from keras_capi.data.image_files import skipped_message
from keras_capi.data.map_ahead import map_ahead
from keras_capi.data.resizing import check_crop_ratio
from keras_capi.data.resizing import resize_and_crop
from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.data.walk_folder import is_clutter
from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.paths import printable
from keras_capi.validation import check_positive_integer

TFDS_PREFIX = "tfds:"


def load_labelled_images(
    source, image_size=224, crop_ratio=0.875, split=None, white_level=None
):
    """Loads images and their classes, for the evaluation of features.

    Prepares images as `ImageLoader` does, except for the normalisation: resizes
    bicubically and crops the centre. The defaults are those of the paper's
    evaluation. Files that cannot be read are skipped, with one warning that
    counts and names them.

    Args:
        source: String or path. A folder with a subfolder for each class, which
            is searched as by `keras_capi.data.find_images`; or `"tfds:"`
            followed by the name of a data set of TensorFlow Datasets. Hidden
            folders are not classes.
        image_size: Integer. Height and width of the result. Defaults to `224`.
        crop_ratio: Float in `(0, 1]`. The share of the resized image that the
            crop keeps, along the shorter side. Defaults to `0.875`.
        split: String or `None`. The split of a data set of TensorFlow Datasets,
            such as `"train"` or `"test[:1000]"`. Required for these; folders
            have none. Defaults to `None`.
        white_level: Integer or `None`. The value that becomes white in 16-bit
            images, such as `4095` if they hold 12 bits. `None` uses `65535`,
            and warns of dark images. Defaults to `None`.

    Returns:
        Tuple `(images, labels, class_names)`: uint8 array of shape `(count,
        image_size, image_size, 3)`, int32 array of shape `(count,)` and list of
        strings, indexed by the labels. The classes of a folder are in
        alphabetical order, with accents in composed form (NFC), and so are
        their images.

    Raises:
        ImportError: If Pillow, or for `"tfds:"` `tensorflow_datasets`, is not
            installed.
        ValueError: If the folder does not exist, images lie outside the class
            folders, a class has no readable image, or a data set has no
            classes.

    Example:

    >>> images, labels, class_names = keras_capi.data.load_labelled_images(
    ...     "flowers/train"
    ... )
    >>> images, labels, class_names = keras_capi.data.load_labelled_images(
    ...     "tfds:mnist", split="train"
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    check_positive_integer("image_size", image_size)
    check_crop_ratio(crop_ratio)
    check_white_level(white_level)
    size = (image_size, image_size)

    def prepare(image):
        image, _ = decode_to_pillow(image, white_level)
        return resize_and_crop(image, size, crop_ratio)

    if str(source).startswith(TFDS_PREFIX):
        images, labels, class_names = _load_tfds(str(source), split, prepare)
    else:
        if split is not None:
            raise ValueError(
                "`split` must be None for a folder, as folders have no splits: "
                f"pass the split's folder. Received: split={split!r}"
            )
        images, labels, class_names, skipped = _load_folder(source, prepare)
        if skipped:
            total = len(images) + len(skipped)
            warnings.warn(skipped_message(skipped, total), stacklevel=2)
        _check_classes(source, labels, class_names)
    return np.stack(images), np.array(labels, "int32"), class_names


def _load_folder(source, prepare):
    folder = as_path(source, "source")
    if not folder.is_dir():
        raise ValueError(
            "`source` must be an existing folder, or start with "
            f'"{TFDS_PREFIX}". Received: source={printable(source)}'
        )
    classes = _list_classes(folder)
    numbers = {name: number for number, name in enumerate(classes)}
    # All classes together, so that no image is in two of them.
    files = [
        (path, numbers[_class_name(path.relative_to(folder).parts[0])])
        for path in find_images(folder)
    ]
    found = {label for _, label in files}
    for label, name in enumerate(classes):
        if label not in found:
            raise ValueError(
                "Each class must contain images of its own, not hidden nor "
                "in another class already, by a link. "
                f"Received: {printable(folder / name)}"
            )

    images, labels, skipped = [], [], {}
    tasks = map_ahead(lambda file: prepare(file[0]), files)
    for (path, label), task in tasks:
        try:
            images.append(task.result())
        except ImageError as error:
            skipped[path.relative_to(folder).as_posix()] = str(error)
            continue
        labels.append(label)
    return images, labels, classes, skipped


def _list_classes(folder):
    entries = [
        path for path in sorted(folder.iterdir()) if not is_clutter(path.name)
    ]
    stray = [
        path.name
        for path in entries
        if path.suffix.lower() in EXTENSIONS and not path.is_dir()
    ]
    if stray:
        raise ValueError(
            "`source` must have its images in subfolders, one for each class. "
            f"Received: source={printable(folder)}, which has "
            f"{name_some(stray)}"
        )
    # A link to the folder itself is not a class.
    classes = sorted(
        {
            _class_name(path.name)
            for path in entries
            if path.is_dir() and not path.samefile(folder)
        }
    )
    if not classes:
        raise ValueError(
            "`source` must have a subfolder for each class. "
            f"Received: source={printable(folder)}, which has none"
        )
    return classes


def _class_name(name):
    # Systems differ in whether they write `é` as one character or two. With one
    # form for both, a copy of a folder has its classes in the same order.
    return unicodedata.normalize("NFC", name)


def _check_classes(source, labels, class_names):
    present = set(labels)
    empty = [
        name for label, name in enumerate(class_names) if label not in present
    ]
    if empty:
        raise ValueError(
            "Each class must have an image that can be read. Received: "
            f"source={printable(source)}, without images of {name_some(empty)}"
        )


def _load_tfds(source, split, prepare):
    if not isinstance(split, str):
        raise ValueError(
            '`split` must be a string, such as "train", for a TensorFlow data '
            f"set. Received: source={source!r}, split={split!r}"
        )
    tfds = import_optional("tensorflow_datasets", extra="tensorflow")
    dataset, info = tfds.load(
        source.removeprefix(TFDS_PREFIX),
        split=split,
        as_supervised=True,
        with_info=True,
    )
    feature = info.features[info.supervised_keys[1]]
    class_names = getattr(feature, "names", None)
    if class_names is None:
        raise ValueError(
            "`source` must be a data set with one class for each image. "
            f"Received: source={source!r}, whose labels are {feature!r}"
        )

    images, labels = [], []
    tasks = map_ahead(
        lambda example: prepare(example[0]), tfds.as_numpy(dataset)
    )
    for (_, label), task in tasks:
        if not 0 <= label < len(class_names):
            # How TensorFlow Datasets marks images without a label.
            raise ValueError(
                "`split` must be one with labels. Received: "
                f"source={source!r}, split={split!r}, which has label {label}"
            )
        images.append(task.result())
        labels.append(label)
    if not images:
        raise ValueError(
            "`split` must not be empty. Received: "
            f"source={source!r}, split={split!r}"
        )
    return images, labels, list(class_names)
