from collections.abc import Iterator
from collections.abc import Mapping

from keras_capi.data.image_files import find_images
from keras_capi.data.image_files import is_single_image
from keras_capi.paths import PATH_TYPES

BYTES_TYPES = (bytes, bytearray, memoryview)


class ImageSource:
    """A sequence of images, not yet decoded, from any kind of source.

    Args:
        source: See `keras_capi.data.AugmentedImages`.
        key: String. The key of the image in items that are dictionaries.
    """

    def __init__(self, source, key):
        if isinstance(source, PATH_TYPES):
            source = find_images(source)
        elif isinstance(source, Mapping):
            source = list(source.values())
        elif isinstance(source, Iterator):
            source = [_check_path(item) for item in source]
        if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
            raise ValueError(
                "`source` must be a folder, or have a length and give the item "
                "of any index, unlike a stream. Received: an object of type "
                f"{type(source).__name__}"
            )
        if is_single_image(source):
            raise ValueError(
                "`source` must be several images; of large ones, "
                "`keras_capi.data.RandomCrops` takes parts. "
                f"Received: one, of shape {tuple(source.shape)}"
            )
        self.items = source
        self.key = key

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        """Returns an image, not yet decoded, and its name."""
        try:
            item = self.items[index]
        except Exception as error:
            error.add_note(
                f"Item {index} of the source raised this. Images that cannot "
                "be read are skipped where the source gives paths or encoded "
                "bytes."
            )
            raise
        image = image_of(item, self.key)
        if hasattr(self.items, "name"):
            return image, self.items.name(index)
        if isinstance(image, PATH_TYPES):
            return image, str(image)
        return image, str(index)


def image_of(item, key="image"):
    """Returns the image in an item of a data set.

    Args:
        item: An image, or a dictionary with one.
        key: String. The key of the image in dictionaries. Hugging Face's
            dictionaries of encoded images, with `"bytes"` and `"path"`, need
            none.

    Raises:
        ValueError: If there is no image, or the item is a pair or anything else
            that is not an image.
    """
    image = item
    if isinstance(item, Mapping) and not _is_undecoded(item):
        if key not in item:
            raise ValueError(
                "`key` must say where the image is in an item of the source. "
                f"Received: key={key!r}, an item with {list(item)}"
            )
        image = item[key]
    if isinstance(image, Mapping) and _is_undecoded(image):
        image = image["path"] if image["bytes"] is None else image["bytes"]
    is_image = isinstance(image, PATH_TYPES + BYTES_TYPES) or hasattr(
        image, "convert"
    )
    if is_image or hasattr(image, "__array__"):
        return image
    advice = ""
    if image is None:
        advice = ": leave out items without an image"
    elif isinstance(image, tuple | list):
        advice = (
            ": of pairs such as (image, label) give the image alone, for "
            "example in a class whose `__getitem__` returns `pairs[index][0]`"
        )
    raise ValueError(
        "Items must be images, as paths, encoded bytes, PIL images or uint8 "
        f"arrays, or dictionaries with one{advice}. "
        f"Received: {_describe(image)}"
    )


def _is_undecoded(item):
    return {"bytes", "path"} <= item.keys()


def _describe(item):
    kind = type(item).__name__
    if not isinstance(item, tuple | list):
        return f"an item of type {kind}"
    kinds = [type(part).__name__ for part in item[:3]]
    more = ", ..." if len(item) > 3 else ""
    return f"an item of type {kind}, of {', '.join(kinds)}{more}"


def _check_path(item):
    if not isinstance(item, PATH_TYPES):
        raise ValueError(
            "An iterator as `source` must give paths, as all of it is read at "
            "once: make a list of other items. Received: an item of type "
            f"{type(item).__name__}"
        )
    return item
