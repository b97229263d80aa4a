import contextlib
import warnings
from collections.abc import Iterable
from collections.abc import Mapping

import keras
import numpy as np

from keras_capi.data.decode_image import decode_to_pillow
from keras_capi.data.decode_image import read_stored_size
from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import check_image
from keras_capi.data.image_files import find_images
from keras_capi.data.image_files import is_single_image
from keras_capi.data.image_files import skipped_message
from keras_capi.data.image_source import BYTES_TYPES
from keras_capi.data.image_source import image_of
from keras_capi.data.map_ahead import map_ahead
from keras_capi.data.resizing import check_crop_ratio
from keras_capi.data.resizing import crop_center
from keras_capi.data.resizing import resize_and_crop
from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.layers.norms.imagenet_normalization import ImageNetNormalization
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.paths import printable
from keras_capi.validation import check_callable
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_integer


class ImageLoader:
    """Batches of prepared images from arrays, PIL images, files or folders.

    Prepares images as published weights expect them: resized bicubically,
    cropped at the centre, and normalised. The defaults are those of the paper's
    evaluation: a shorter side of 256 pixels, cropped to 224. Files that cannot
    be read are left out; a warning at the end counts and names them.

    Args:
        images: What to load. The path of a file or folder (searched with its
            subfolders); a list of paths, PIL images, encoded bytes, uint8 or
            uint16 arrays of shape `(height, width, 3)` or `(height, width)`, or
            dictionaries with one of these as `"image"`; a dictionary from names
            to these; a single one; or one array of shape `(count, height,
            width, 3)`.
        image_size: Integer, tuple `(height, width)` or `None`. Size of the
            result. `None` keeps the size of each image, cut to a multiple of
            `patch_size`. Defaults to `224`.
        crop_ratio: Float in `(0, 1]`. The share of the resized image that the
            crop keeps, along the side that limits it. Defaults to `0.875`.
        patch_size: Integer. That of your encoder; must divide `image_size`.
            Defaults to `14`.
        batch_size: Integer. Number of images in a batch. There are fewer where
            sizes change, and at the end. Defaults to `32`.
        normalization: Callable that turns a uint8 batch into floats. `None` is
            `keras_capi.layers.ImageNetNormalization()`. Defaults to `None`.
        white_level: Integer or `None`. The value that becomes white in 16-bit
            images, such as `4095` if they hold 12 bits. `None` uses `65535`,
            and warns of dark images. Defaults to `None`.

    Iterating yields pairs of names and a float32 array of shape
    `(batch, height, width, 3)`. Names are paths within the folder, paths, or
    the numbers of the images.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If there are no images, they are of an unknown kind, or
            `image_size` is not divisible by `patch_size`.

    Example:

    >>> loader = keras_capi.data.ImageLoader("holidays", batch_size=16)
    >>> for names, images in loader:
    ...     features = backbone.predict(images)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(
        self,
        images,
        image_size=224,
        crop_ratio=0.875,
        patch_size=14,
        batch_size=32,
        normalization=None,
        white_level=None,
    ):
        check_positive_integer("patch_size", patch_size)
        check_positive_integer("batch_size", batch_size)
        check_crop_ratio(crop_ratio)
        check_white_level(white_level)
        if normalization is not None:
            check_callable("normalization", normalization)
        self.image_size = _check_image_size(image_size, patch_size)
        self.crop_ratio = crop_ratio
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.normalization = normalization or ImageNetNormalization(
            dtype="float32"
        )
        self.white_level = white_level
        self.names, self._images = _list_images(images)
        self.skipped = {}
        if image_size is None:
            for image in self._images:
                if hasattr(image, "convert"):
                    self._check_sides(image.size)
                elif hasattr(image, "shape"):
                    self._check_sides(image.shape[:2])

    def __len__(self):
        """The number of batches, if all images have the same size."""
        return -(-len(self._images) // self.batch_size)

    def __iter__(self):
        self.skipped = {}
        names, images = [], []
        for name, image in self._prepared():
            full = len(images) == self.batch_size
            if full or (images and images[0].shape != image.shape):
                yield names, self._normalize(images)
                names, images = [], []
            names.append(name)
            images.append(image)
        if images:
            yield names, self._normalize(images)
        if self.skipped:
            message = skipped_message(self.skipped, len(self.names))
            warnings.warn(message, stacklevel=2)

    def find_sizes(self):
        """Yields the different sizes of the prepared images.

        Headers are read, and one image of each stored size is decoded, so the
        few images are missed whose headers do not tell their size.

        Yields:
            Tuples of height and width, each one once.
        """
        stored, sizes = set(), set()
        for image, task in map_ahead(read_stored_size, self._images):
            with contextlib.suppress(ImageError):
                found = task.result()
                if found in stored:
                    continue
                size = self._prepare(image).shape[:2]
                # After that: the next one may not be damaged.
                stored.add(found)
                if size not in sizes:
                    sizes.add(size)
                    yield size

    def _prepared(self):
        """Yields names and uint8 images, which threads prepare in advance."""
        tasks = map_ahead(self._prepare, self._images, self.batch_size)
        for name, (_, task) in zip(self.names, tasks, strict=True):
            try:
                yield name, task.result()
            except ImageError as error:
                self.skipped[name] = str(error)

    def _prepare(self, image):
        image, _ = decode_to_pillow(image, self.white_level)
        if self.image_size is not None:
            return resize_and_crop(image, self.image_size, self.crop_ratio)
        sides = image.size[::-1]
        self._check_sides(sides)
        size = [n // self.patch_size * self.patch_size for n in sides]
        return crop_center(image, size)

    def _check_sides(self, sides):
        if min(sides) < self.patch_size:
            raise ImageError(
                "Images must have at least `patch_size` pixels along each "
                f"side. Received: {sides} pixels, patch_size={self.patch_size}"
            )

    def _normalize(self, images):
        images = self.normalization(np.stack(images))
        return keras.ops.convert_to_numpy(images).astype("float32", copy=False)


def _check_image_size(image_size, patch_size):
    if image_size is None:
        return None
    is_one = is_integer(image_size)
    size = (image_size, image_size) if is_one else image_size
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(is_integer(n) for n in size)
        or any(n < patch_size or n % patch_size for n in size)
    ):
        raise ValueError(
            "`image_size` must be an integer, (height, width) or None, and "
            "divisible by `patch_size`, which should be that of your encoder. "
            f"Received: image_size={image_size!r}, patch_size={patch_size}"
        )
    return tuple(int(n) for n in size)


def _list_images(images):
    """Returns names, and paths or images in memory, all checked."""
    if isinstance(images, Mapping):
        names = [str(name) for name in images]
        images = images.values()
    elif isinstance(images, PATH_TYPES):
        path = as_path(images, "images")
        if path.is_dir():
            paths = find_images(path)
            return [
                found.relative_to(path).as_posix() for found in paths
            ], paths
        names, images = [str(path)], [path]
    else:
        if is_single_image(images) or not isinstance(images, Iterable):
            images = [images]
        images = list(images)
        names = [
            str(image) if isinstance(image, PATH_TYPES) else str(index)
            for index, image in enumerate(images)
        ]
    if not names:
        raise ValueError(f"`images` must not be empty. Received: {images!r}")
    # All are checked before the first is used: an error in the middle would
    # lose what was computed from those before it.
    return names, [
        _check(name, image) for name, image in zip(names, images, strict=True)
    ]


def _check(name, image):
    try:
        image = image_of(image)
        if not isinstance(image, PATH_TYPES + BYTES_TYPES):
            check_image(image)
    except ValueError as error:
        raise ValueError(f"{error}, for image {printable(name)}") from None
    if not isinstance(image, PATH_TYPES):
        return image
    path = as_path(image, "images")
    # A link to nothing, as `find_images` may find, cannot be read.
    is_broken = path.is_symlink() and not path.exists()
    if not path.is_file() and not is_broken:
        raise ValueError(
            "Images must be existing files; of several folders, list the "
            "images with `keras_capi.data.find_images`. "
            f"Received: {printable(path)}"
        )
    return path
