"""Finds the images and masks of segmentation data sets."""

import os

from keras_capi.data.image_files import find_images
from keras_capi.data.image_files import name_some
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path
from keras_capi.paths import printable
from keras_capi.validation import check_choice

# The names of the splits in each data set.
SPLITS = {
    "ade20k": {"train": "training", "validation": "validation"},
    "voc2012": {"train": "train", "trainval": "trainval", "validation": "val"},
}
LAYOUTS = ("folders", *SPLITS)


def find_segmentation_files(source, layout, split):
    """Lists pairs of paths: of an image and of its mask.

    See `keras_capi.data.load_segmentation`, which has the same arguments.
    """
    check_choice("layout", layout, LAYOUTS)
    if layout == "folders":
        return _find_in_folders(*_check_pair(source, split))
    splits = SPLITS[layout]
    if split not in splits:
        raise ValueError(
            f"`split` must be one of {', '.join(map(repr, splits))}, with the "
            f"layout {layout!r}. Received: split={split!r}"
        )
    if not isinstance(source, PATH_TYPES):
        raise ValueError(
            f"`source` must be a folder, with the layout {layout!r}. "
            f"Received: source={source!r}"
        )
    find = {"ade20k": _find_ade20k, "voc2012": _find_voc2012}[layout]
    return find(as_path(source, "source"), splits[split])


def _check_pair(source, split):
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise ValueError(
            "`source` must be a pair, (image_folder, mask_folder), with the "
            f"layout 'folders'. Received: source={source!r}"
        )
    if split != "train":
        raise ValueError(
            "`split` must be left out with the layout 'folders', which has no "
            f"splits: pass the split's folders. Received: split={split!r}"
        )
    return [as_path(folder, "source") for folder in source]


def _find_in_folders(image_folder, mask_folder):
    for folder in (image_folder, mask_folder):
        if not folder.is_dir():
            raise ValueError(
                "Images and masks must be in existing folders. "
                f"Received: {printable(folder)}"
            )
    images = _by_name(image_folder, lambda suffix: ".png")
    # Some programs write a.PNG.
    masks = _by_name(mask_folder, str.lower)
    missing = sorted(images.keys() - masks.keys())
    surplus = sorted(masks.keys() - images.keys())
    if missing or surplus:
        raise ValueError(
            "Each image must have a mask, a .png file of the same relative "
            f"path, and each mask an image. Received: "
            f"{printable(image_folder)} and {printable(mask_folder)}, with "
            f"missing masks ({name_some(missing)}) and masks without image "
            f"({name_some(surplus)})"
        )
    return [(path, masks[name]) for name, path in images.items()]


def _by_name(folder, change_suffix):
    """Returns the images in a folder by the relative paths of their masks."""
    found = {}
    for path in find_images(folder):
        name = path.relative_to(folder).with_suffix(change_suffix(path.suffix))
        if name in found:
            raise ValueError(
                "Images must differ in more than the extension, as their masks "
                f"do not. Received: {printable(found[name])} and "
                f"{printable(path)}"
            )
        found[name] = path
    return found


def _find_ade20k(source, folder):
    return _find_in_folders(
        source / "images" / folder, source / "annotations" / folder
    )


def _find_voc2012(source, name):
    root = source / "VOCdevkit" / "VOC2012"
    if not root.is_dir():
        root = source
    path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
    if not path.is_file():
        raise ValueError(
            "`source` must be the folder VOC2012, or the one of "
            "VOCdevkit/VOC2012. Received: "
            f"source={printable(source)}, without {printable(path)}"
        )
    # Like file names, these have no defined encoding.
    names = os.fsdecode(path.read_bytes()).split()
    if not names:
        raise ValueError(
            f"The list must name images. Received: {printable(path)}, empty"
        )
    files = [
        (
            root / "JPEGImages" / f"{name}.jpg",
            root / "SegmentationClass" / f"{name}.png",
        )
        for name in names
    ]
    missing = [
        file.relative_to(root).as_posix()
        for pair in files
        for file in pair
        if not file.is_file()
    ]
    if missing:
        raise ValueError(
            f"All images of {printable(path)} must be there, with their "
            f"masks. Received: {printable(root)}, without {name_some(missing)}"
        )
    return files
