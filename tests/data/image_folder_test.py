import numpy as np
import pytest
from PIL import Image

from keras_capi.data import load_images

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(path, size=(6, 4), color=RED, mode="RGB", **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **kwargs)


def test_names_order_and_types(tmp_path):
    save(tmp_path / "b.png", color=BLUE)
    save(tmp_path / "a.PNG")
    save(tmp_path / "trip" / "c.jpg", size=(8, 8))
    (tmp_path / "notes.txt").write_text("not an image")
    images = load_images(tmp_path)
    assert list(images) == ["a.PNG", "b.png", "trip/c.jpg"]
    assert all(image.dtype == np.uint8 for image in images.values())
    assert images["b.png"].shape == (4, 6, 3)
    np.testing.assert_array_equal(images["a.PNG"][0, 0], RED)
    np.testing.assert_array_equal(images["b.png"][0, 0], BLUE)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
        ("I;16", 0x8001, (128, 128, 128)),
    ],
)
def test_becomes_rgb(tmp_path, mode, color, expected):
    save(tmp_path / "a.png", mode=mode, color=color)
    (image,) = load_images(str(tmp_path)).values()
    assert image.shape == (4, 6, 3)
    assert tuple(image[0, 0]) == expected


def test_palettes_and_cmyk_become_rgb(tmp_path):
    save(tmp_path / "a.gif", mode="P", color=0)
    save(tmp_path / "b.jpg", mode="CMYK", color=(0, 0, 0, 0))
    for image in load_images(tmp_path).values():
        assert image.shape == (4, 6, 3)


def test_exif_orientation(tmp_path):
    image = Image.new("RGB", (8, 4), BLUE)
    image.paste(RED, (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned clockwise by 90 degrees.
    image.save(tmp_path / "a.png", exif=exif)
    (turned,) = load_images(tmp_path).values()
    assert turned.shape == (8, 4, 3)
    np.testing.assert_array_equal(turned[0, 0], RED)
    np.testing.assert_array_equal(turned[-1, -1], BLUE)


@pytest.mark.parametrize("size", [(60, 30), (30, 60), (5, 10)])
def test_shorter_side(tmp_path, size):
    save(tmp_path / "a.png", size=size)
    (image,) = load_images(tmp_path, shorter_side=20).values()
    width, height = (20 * n // min(size) for n in size)
    assert image.shape == (height, width, 3)
    np.testing.assert_array_equal(image[3, 3], RED)


def test_corrupt_images_are_named_and_skipped(tmp_path):
    save(tmp_path / "good.png")
    (tmp_path / "text.jpg").write_text("no picture at all")
    save(tmp_path / "whole.png", size=(64, 64))
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "whole.png").unlink()
    with pytest.warns(UserWarning, match="Skipped 2 of 3.*cut.png.*text.jpg"):
        images = load_images(tmp_path)
    assert list(images) == ["good.png"]


def test_images_too_large_for_pillow(tmp_path, monkeypatch):
    for size in (10, 40):
        image = Image.new("RGB", (size, size))
        image.save(tmp_path / f"{size}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    advice = "smaller ones or.*MAX_IMAGE_PIXELS = None.*1600 pixels"
    with pytest.warns(UserWarning, match=advice):
        assert list(load_images(tmp_path)) == ["10.png"]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert list(load_images(tmp_path)) == ["10.png", "40.png"]


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="folder must contain .*: /"):
        load_images(tmp_path)
    (tmp_path / "bad.png").write_text("")
    with (
        pytest.warns(UserWarning, match="bad.png"),
        pytest.raises(ValueError, match="with 1 files"),
    ):
        load_images(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="`folder` must be .*none"):
        load_images(tmp_path / "none")


def test_bad_size(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="`shorter_side` must be"):
        load_images(tmp_path, shorter_side=0)
