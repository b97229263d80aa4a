import warnings

from keras_capi.data.decode_image import decode_image
from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import find_images
from keras_capi.data.image_files import skipped_message
from keras_capi.data.resizing import resize_shorter_side
from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.paths import as_path
from keras_capi.paths import printable
from keras_capi.validation import check_positive_integer


def load_images(folder, shorter_side=None, white_level=None):
    """Loads all images in a folder and its subfolders as RGB arrays.

    EXIF orientations are applied. Files that cannot be read are skipped, with
    one warning that counts and names them.

    Args:
        folder: String or path. Searched for bmp, gif, jpeg, png, tiff and webp
            files. Of animations only the first frame is read, and of TIFF files
            only the first page, with a warning.
        shorter_side: Integer or `None`. If given, each image is resized so that
            its shorter side has this many pixels, which bounds the memory they
            take. Defaults to `None`.
        white_level: Integer or `None`. The value that becomes white in 16-bit
            images, such as `4095` if they hold 12 bits. `None` uses `65535`,
            and warns of dark images. Defaults to `None`.

    Returns:
        Dictionary from name, the path within `folder`, to uint8 array of shape
        `(height, width, 3)`, sorted by name.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If `folder` is not a folder or has no readable image.

    Example:

    >>> photos = keras_capi.data.load_images("holidays", shorter_side=256)
    """
    if shorter_side is not None:
        check_positive_integer("shorter_side", shorter_side)
    check_white_level(white_level)
    folder = as_path(folder, "folder")
    if not folder.is_dir():
        raise ValueError(
            "`folder` must be an existing folder. "
            f"Received: folder={printable(folder)}"
        )
    paths = find_images(folder)
    images, skipped = {}, {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            image, _ = decode_image(path, white_level=white_level)
            if shorter_side is not None:
                image = resize_shorter_side(image, shorter_side)
        except ImageError as error:
            skipped[name] = str(error)
            continue
        images[name] = image
    if skipped:
        warnings.warn(skipped_message(skipped, len(paths)), stacklevel=2)
    if not images:
        raise ValueError(
            "`folder` must contain readable images. Received: "
            f"folder={printable(folder)}, with {len(paths)} files, none of "
            "them readable"
        )
    return images
