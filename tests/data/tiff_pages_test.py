"""TIFF files of several pages, of which one is read."""

import warnings

import numpy as np
import pytest
from image_helpers import encode
from PIL import Image

from keras_capi.data import AugmentedImages
from keras_capi.data import ImageLoader
from keras_capi.data import load_images
from keras_capi.data import tiff_pages
from keras_capi.data.decode_image import decode_image

PAGES = [
    Image.fromarray(np.full((16, 20, 3), level, "uint8"))
    for level in (10, 200, 90)
]


@pytest.fixture(autouse=True)
def _nothing_is_told_yet(monkeypatch):
    monkeypatch.setattr(tiff_pages, "_FOLDERS", set())


def write_pages(path, pages=PAGES, **options):
    path.parent.mkdir(exist_ok=True)
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    return path


def test_one_warning_names_a_file_of_the_folder(tmp_path):
    for name in "ab":
        write_pages(tmp_path / f"{name}.tif")
    with pytest.warns(UserWarning, match="only the first is read.*a.tif") as w:
        images = load_images(tmp_path)
    assert len(w) == 1
    assert [image.max() for image in images.values()] == [10, 10]
    # Once is enough, whoever reads.
    load_images(tmp_path)
    list(ImageLoader(tmp_path, 8, patch_size=8))
    other = write_pages(tmp_path / "other" / "a.tif")
    with pytest.warns(UserWarning, match="other.a.tif"):
        decode_image(other)


def test_readers_in_threads(tmp_path):
    write_pages(tmp_path / "a.tif")
    dataset = AugmentedImages(tmp_path, 8, batch_size=1)
    with pytest.warns(UserWarning, match="only the first is read"):
        dataset[0]


def test_encoded_bytes():
    pages = {"save_all": True, "append_images": PAGES[1:]}
    with pytest.warns(UserWarning, match="Received: encoded bytes"):
        decode_image(encode(PAGES[0], "TIFF", **pages))


def test_other_files_have_no_pages(tmp_path):
    PAGES[0].save(tmp_path / "one.tif")
    write_pages(tmp_path / "animation.gif")
    path = write_pages(tmp_path / "damaged.tif")
    # The second page's table of contents is cut off.
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // len(PAGES) + 20])
    # A second page that is the first made smaller.
    smaller = Image.fromarray(np.zeros((4, 5, 3), "uint8"))
    smaller.encoderinfo = {"tiffinfo": {0x00FE: 1}}
    write_pages(tmp_path / "thumbnail.tif", [PAGES[0], smaller])
    with Image.open(tmp_path / "thumbnail.tif") as image:
        image.seek(1)
        assert image.tag_v2[0x00FE] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_images(tmp_path)
    assert len(images) == 4
    assert images["thumbnail.tif"].shape == (16, 20, 3)
