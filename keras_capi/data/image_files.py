"""Finds image files; checks images in memory, and makes them 8-bit."""

import contextlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterable

import numpy as np

from keras_capi.data.sixteen_bits import to_eight_bits
from keras_capi.data.walk_folder import walk_folder
from keras_capi.optional_imports import import_optional
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.paths import printable
from keras_capi.validation import is_array

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# What Pillow raises for damaged files.
READ_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# Of one image. An array of rank 3 with a longer last axis holds grey images,
# unless these would be strips, at least twice as high as wide, of few pixels:
# that is one image with many channels, such as the 13 of Sentinel-2.
MOST_CHANNELS = 4
STRIP_RATIO, STRIP_WIDTH = 2, 16


def find_images(paths):
    """Lists the image files in folders.

    All functions of this package that read folders find the same files. Hidden
    files, whose names start with a dot, and those of operating systems
    (`__MACOSX`, `@eaDir`, ...) are left out. Links to folders are followed, and
    each folder is read once. Subfolders that cannot be read are left out with a
    warning.

    Args:
        paths: Path of a file or folder, or iterable of such. Folders are
            searched, with their subfolders, for bmp, gif, jpeg, png, tiff and
            webp files; files are returned as they are.

    Returns:
        List of `pathlib.Path`s: files as given, and those of a folder in
        alphabetical order, but for files that are given or found before.

    Raises:
        TypeError: If something is not a path.
        ValueError: If a file or folder does not exist, or a folder has no
            image.

    Example:

    >>> paths = keras_capi.data.find_images(["holidays", "portrait.png"])
    """
    if isinstance(paths, PATH_TYPES) or not isinstance(paths, Iterable):
        paths = [paths]
    paths = [as_path(path, "paths") for path in paths]
    files, known = [], {os.path.abspath(path) for path in paths}
    for path in paths:
        if path.is_dir():
            found = {os.path.abspath(x): x for x in _find_in_folder(path)}
            files += [x for name, x in found.items() if name not in known]
            known.update(found)
        elif path.exists():
            files.append(path)
        else:
            raise ValueError(
                f"There must be a file or folder {printable(path)}"
            )
    return files


def _find_in_folder(folder):
    files, problems = walk_folder(folder, EXTENSIONS)
    if problems:
        reasons = [f"{path} ({why})" for path, why in problems.items()]
        warnings.warn(
            f"Left out what cannot be read: {name_some(reasons)}", stacklevel=3
        )
    if not files:
        raise ValueError(
            f"A folder must contain images ({', '.join(EXTENSIONS)}) that can "
            f"be read and are not hidden. Received: {printable(folder)}"
        )
    return files


class ImageError(ValueError):
    """Raised for an image that cannot be used; says why."""


@contextlib.contextmanager
def image_errors():
    """Turns Pillow's errors for damaged images into an `ImageError`."""
    pillow = import_optional("PIL.Image", extra="images")
    try:
        yield
    except pillow.DecompressionBombError as error:
        raise ImageError(
            "Images must not be larger than Pillow allows: cut them into "
            "smaller ones or, if you trust the files, set "
            f"`PIL.Image.MAX_IMAGE_PIXELS = None`. Received: {error}"
        ) from error
    except READ_ERRORS as error:
        raise ImageError(str(error) or type(error).__name__) from error


def as_eight_bits(image, white_level=None):
    """Returns 16-bit images as uint8 arrays, and others as they are.

    Args:
        image: PIL image, or uint8 or uint16 array of shape `(height, width,
            3)`, `(height, width, 1)` or `(height, width)`. Arrays of grey
            values become two-dimensional.
        white_level: Integer or `None`. The value that becomes white in images
            of 16 bits, see `to_eight_bits`. Defaults to `None`.
    """
    check_image(image)
    if hasattr(image, "convert"):
        if not image.mode.startswith("I;16"):
            return image
        # Pillow's own conversion would clip 16-bit values at 255.
        image = np.asarray(image, "uint16")
    image = np.asarray(image)
    if image.dtype == np.uint16:
        image = to_eight_bits(image, white_level)
    return image[..., 0] if image.shape[2:] == (1,) else image


def convert(image, mode):
    """Converts a PIL image to a mode, without a copy if it has it already."""
    return image if image.mode == mode else image.convert(mode)


def check_image(image):
    """Raises a `ValueError` unless an image can be converted to RGB."""
    if hasattr(image, "convert"):
        if image.mode in ("I", "F"):
            raise ValueError(
                "32-bit images have no range of their own: convert them to 8 "
                f"or 16 bits. Received: mode {image.mode}"
            )
        return
    image = np.asarray(image)
    is_image = image.ndim == 2 or image.ndim == 3 and image.shape[-1] in (1, 3)
    is_known = image.dtype in (np.uint8, np.uint16)
    if not is_known or not is_image or image.size == 0:
        raise ValueError(
            "Images must be paths, PIL images, or uint8 or uint16 arrays of "
            "shape (height, width, 3) or (height, width); "
            "`keras_capi.data.RandomCrops` and `predict` take others, "
            "normalised. Received: "
            f"shape {image.shape}, dtype {image.dtype}"
        )


def is_single_image(images):
    """Returns whether a PIL image or array is a single image.

    This includes one with channels that are not supported here, such as
    infrared, whose rows would otherwise pass for grey images.
    """
    if hasattr(images, "convert"):
        return True
    # Tables have a shape, too.
    shape = images.shape if is_array(images) else ()
    if len(shape) != 3:
        return len(shape) == 2
    _, height, width = shape
    is_strip = width <= STRIP_WIDTH and height >= STRIP_RATIO * width
    return width <= MOST_CHANNELS or is_strip


def skipped_message(skipped, total):
    """Returns a message that says which images were left out.

    Args:
        skipped: Dictionary from name to reason.
        total: Integer. Number of images, including those left out.
    """
    problems = [f"{name} ({why})" for name, why in skipped.items()]
    return (
        f"Skipped {len(skipped)} of {total} images, which cannot be read: "
        f"{_list_some(problems)}"
    )


def name_some(names):
    """Counts and lists names for a message, at most the first ten."""
    if not names:
        return "none"
    return f"{len(names)}: {_list_some(names)}"


def _list_some(names):
    listed = ", ".join(map(printable, names[:10]))
    return f"{listed}{', ...' if len(names) > 10 else ''}"
