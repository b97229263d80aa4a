"""Warns of pages of TIFF files that are not read."""

import os
import warnings

from keras_capi.paths import printable

# A tag of a page, whose first bit marks a smaller copy of another page.
KIND, SMALLER = 0x00FE, 1

# One warning for each folder, which may have thousands of such files.
_FOLDERS: set[str] = set()


def warn_of_pages(image):
    """Warns if an image is the first of several in its file.

    Warns once for all files of a folder, and once for all without a name.

    Args:
        image: PIL image, as opened.
    """
    if image.format != "TIFF" or not _has_second_page(image):
        return
    path = getattr(image, "filename", "")
    folder = os.path.dirname(os.path.abspath(path)) if path else ""
    if folder in _FOLDERS:
        return
    _FOLDERS.add(folder)
    name = printable(os.fsdecode(path)) if path else "encoded bytes"
    warnings.warn(
        "Of TIFF files with several pages only the first is read: write others "
        f"that are to be read to files of their own. Received: {name}",
        stacklevel=2,
    )


def _has_second_page(image):
    """Returns whether there is a second page that is not a smaller copy."""
    try:
        image.seek(1)
        is_page = not image.tag_v2.get(KIND, 0) & SMALLER
    except Exception:
        # There is none, or it is damaged, for which Pillow raises all kinds of
        # errors. The first may still be fine.
        is_page = False
    image.seek(0)
    return is_page
