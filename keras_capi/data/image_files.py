"""Finds and reads image files, and makes RGB arrays of images in memory."""

import pathlib
import struct

import numpy as np

from keras_capi.data.exif_orientation import turn_upright
from keras_capi.optional_imports import import_optional

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def find_images(paths):
    """Lists image files.

    Args:
        paths: Path of a file or folder, or list of such. Folders are searched,
            with their subfolders, for bmp, gif, jpeg, png, tiff and webp files.

    Returns:
        List of `pathlib.Path`s: files as given, those of a folder in
        alphabetical order.

    Raises:
        ValueError: If there is no such file or folder, or no image in a folder.

    Example:

    >>> paths = keras_capi.data.find_images(["holidays", "portrait.png"])
    """
    if isinstance(paths, str | pathlib.Path):
        paths = [paths]
    files = []
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise ValueError(f"There must be a file or folder {path}")
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in EXTENSIONS and file.is_file()
            )
            if not found:
                raise ValueError(
                    f"A folder must contain images ({', '.join(EXTENSIONS)}). "
                    f"Received: {path}"
                )
            files += found
        else:
            files.append(path)
    return files


def read_errors():
    """Returns what Pillow raises for damaged files of one format or another."""
    pillow = import_optional("PIL.Image", extra="images")
    return (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        IndexError,
        EOFError,
        struct.error,
        pillow.DecompressionBombError,
    )


def read_image(path):
    """Reads a file as a uint8 array of shape `(height, width, 3)`.

    The image is turned as its EXIF orientation says.
    """
    pillow = import_optional("PIL.Image", extra="images")
    with pillow.open(path) as image:
        return as_upright_rgb(image)


def as_upright_rgb(image):
    """Turns a PIL image into uint8 RGB pixels, as its EXIF orientation says."""
    return as_rgb(turn_upright(image))


def as_rgb(image):
    """Turns a PIL image or a uint8 array into a uint8 RGB array."""
    if hasattr(image, "convert"):
        if image.mode.startswith("I;16"):
            # Pillow's own conversion would clip 16-bit values at 255.
            image = (np.asarray(image, "uint16") >> 8).astype("uint8")
        elif image.mode in ("I", "F"):
            raise ValueError(
                "32-bit images have no range of their own: convert them to 8 "
                f"or 16 bits. Received: mode {image.mode}"
            )
        else:
            return np.array(image.convert("RGB"))
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim == 3 and image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            "Images must be paths, PIL images, or uint8 arrays of shape "
            "(height, width, 3) or (height, width). Received: "
            f"shape {image.shape}, dtype {image.dtype}"
        )
    return image


def skipped_message(skipped, total):
    """Says which images were left out.

    Args:
        skipped: Dictionary from name to reason.
        total: Integer. Number of images that there should be.
    """
    problems = [f"{name} ({why})" for name, why in skipped.items()]
    return (
        f"Skipped {len(skipped)} of {total} images, which cannot be read: "
        f"{_list_some(problems)}"
    )


def name_some(names):
    """Counts and lists names for a message, of many the first ten."""
    if not names:
        return "none"
    return f"{len(names)}: {_list_some(names)}"


def _list_some(names):
    listed = ", ".join(map(str, names[:10]))
    return f"{listed}{', ...' if len(names) > 10 else ''}"
