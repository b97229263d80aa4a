import pathlib
import warnings

import numpy as np

from keras_capi.data.resizing import resize_shorter_side
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_positive_integer

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def load_images(folder, shorter_side=None):
    """Loads the images in a folder and its subfolders as RGB arrays.

    Images are turned as their EXIF orientation says. Files that cannot be read
    are skipped, with one warning that counts and names them.

    Args:
        folder: String or path. Searched for bmp, gif, jpeg, png, tiff and webp
            files. Of animations the first frame is taken.
        shorter_side: Integer or `None`. If given, each image is resized so that
            its shorter side has this many pixels, which bounds the memory that
            all take. Defaults to `None`.

    Returns:
        Dictionary from name, the path within `folder`, to uint8 array of shape
        `(height, width, 3)`, ordered by name.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If `folder` is not a folder or has no readable image.

    Example:

    >>> photos = keras_capi.data.load_images("holidays", shorter_side=256)
    """
    if shorter_side is not None:
        check_positive_integer("shorter_side", shorter_side)
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"`folder` must be an existing folder. Received: folder={folder}"
        )
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.is_file()
    )
    pillow = import_optional("PIL.Image", extra="demo")
    # What Pillow raises for damaged files differs from format to format.
    errors = (OSError, SyntaxError, ValueError, pillow.DecompressionBombError)
    images, failures = {}, []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            image = _read_image(path)
        except errors as error:
            failures.append(f"{name} ({error})")
            continue
        if shorter_side is not None:
            image = resize_shorter_side(image, shorter_side)
        images[name] = image
    if failures:
        warnings.warn(
            f"Skipped {len(failures)} of {len(paths)} images, which cannot be "
            f"read: {', '.join(failures)}",
            stacklevel=2,
        )
    if not images:
        raise ValueError(
            f"`folder` must contain readable images ({', '.join(EXTENSIONS)})."
            f" Received: folder={folder}, with {len(paths)} files of these "
            "types, none of them readable"
        )
    return images


def _read_image(path):
    pillow = import_optional("PIL.Image", extra="demo")
    image_ops = import_optional("PIL.ImageOps", extra="demo")
    with pillow.open(path) as image:
        image = image_ops.exif_transpose(image)
        if image.mode.startswith("I;16"):
            # Pillow's own conversion would clip 16-bit values at 255.
            gray = (np.asarray(image, "uint16") >> 8).astype("uint8")
            return np.repeat(gray[..., None], 3, axis=-1)
        return np.array(image.convert("RGB"))
