import contextlib
import warnings

import numpy as np

from keras_capi.data.decode_image import decode_image
from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import image_errors
from keras_capi.data.image_files import skipped_message
from keras_capi.data.label_mask import read_mask
from keras_capi.data.label_mask import resize_mask
from keras_capi.data.map_ahead import map_ahead
from keras_capi.data.resizing import resize_image
from keras_capi.data.segmentation_files import find_segmentation_files
from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.paths import printable
from keras_capi.validation import check_positive_integer


class _UnreadableError(Exception):
    """Carries the path of a damaged file, and what is wrong with it."""


def load_segmentation(
    source,
    image_size=224,
    layout="folders",
    split="train",
    white_level=None,
):
    """Loads images and their label masks, for the evaluation of features.

    Both are resized to a square without cropping, as in the paper's evaluation:
    images bicubically, with antialiasing where they shrink, and masks by
    nearest neighbour. Pairs with a file that cannot be read are skipped, with
    one warning that counts and names the files.

    Masks are PNG files whose pixels are labels: the indices of a palette, or
    grey values of up to 16 bits. EXIF orientations are applied to images, but
    not to masks.

    Args:
        source: Location of the data set, depending on `layout`.
        image_size: Integer. Height and width of the result. Defaults to `224`.
        layout: String. Defaults to `"folders"`. - `"folders"`: `source` is a
            pair `(image_folder, mask_folder)`. The mask of the image `a/b.jpg`
            is `a/b.png`. - `"ade20k"`: `source` is the folder
            ADEChallengeData2016. Label 0 stands for everything outside the 150
            classes. - `"voc2012"`: `source` is the folder VOC2012, or the one
            that holds VOCdevkit/VOC2012. Label 255 stands for the boundaries of
            objects, which should be ignored.
        split: String. `"train"` or `"validation"`, or `"trainval"` for VOC
            2012. The layout `"folders"` has no splits. Defaults to `"train"`.
        white_level: Integer or `None`. The value that becomes white in images
            of 16 bits, such as `4095` if they hold 12 bits. `None` uses
            `65535`, and warns of dark images. Defaults to `None`.

    Returns:
        Tuple `(images, masks)`: uint8 array of shape `(count, image_size,
        image_size, 3)` and array of shape `(count, image_size, image_size)`,
        uint8, or int32 if a mask has more than 8 bits.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If files or folders are missing; if masks are missing,
            surplus, RGB, or not of the size of their images; or if no pair can
            be read.

    Example:

    >>> images, masks = keras_capi.data.load_segmentation(
    ...     ("streets/images", "streets/masks"), image_size=448
    ... )
    >>> images, masks = keras_capi.data.load_segmentation(
    ...     "ADEChallengeData2016", layout="ade20k", split="validation"
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    check_positive_integer("image_size", image_size)
    check_white_level(white_level)
    files = find_segmentation_files(source, layout, split)
    images, masks, skipped = [], [], {}
    tasks = map_ahead(
        lambda pair: _load_pair(*pair, image_size, white_level), files
    )
    for _, task in tasks:
        try:
            image, mask = task.result()
        except _UnreadableError as unreadable:
            path, error = unreadable.args
            skipped[path] = error
            continue
        images.append(image)
        masks.append(mask)
    if skipped:
        warnings.warn(skipped_message(skipped, len(files)), stacklevel=2)
    if not images:
        raise ValueError(
            "`source` must contain readable images and masks. Received: "
            f"source={source!r}, with {len(files)} pairs, none of them readable"
        )
    return np.stack(images), np.stack(masks)


def _load_pair(image_path, mask_path, image_size, white_level):
    with _naming(image_path):
        image, _ = decode_image(image_path, white_level=white_level)
    with _naming(mask_path):
        mask = read_mask(mask_path)
    if mask is None:
        raise ValueError(
            "Masks must have one number for each pixel, a label: a palette or "
            "grey values, and no RGB colours nor JPEG files. Received: "
            f"{printable(mask_path)}"
        )
    if image.shape[:2] != mask.shape:
        raise ValueError(
            "Images, turned as EXIF says, and their masks must have the same "
            f"height and width. Received: {printable(image_path)} of "
            f"{image.shape[:2]} and {printable(mask_path)} of {mask.shape}"
        )
    size = (image_size, image_size)
    return resize_image(image, size), resize_mask(mask, size)


@contextlib.contextmanager
def _naming(path):
    """Adds to an error which of the two files is damaged."""
    try:
        with image_errors():
            yield
    except ImageError as error:
        raise _UnreadableError(path, error) from error
