"""Photographs turned as their EXIF orientation says, whatever else it says."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import IFDRational
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from keras_capi.data import AugmentedImages
from keras_capi.data import ImageLoader
from keras_capi.data import load_images
from keras_capi.data.decode_image import decode_image
from keras_capi.data.decode_image import read_stored_size

ORIENTATION, MAKE, SOFTWARE, PLACE = 0x0112, 0x010F, 0x0131, 0x8825
TURNED = {
    0: lambda pixels: pixels,
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
    9: lambda pixels: pixels,
}
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), "uint8")
SAVED = {
    "JPEG": {},
    "MPO": {"save_all": True, "append_images": [Image.fromarray(PIXELS)]},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
}


def entry(order, tag, value, kind=3, count=1):
    form = {1: "B3x", 3: "H2x", 4: "L"}.get(kind, "L")
    return struct.pack(f"{order}HHL{form}", tag, kind, count, value)


def make_block(order, *entries, after=b"", count=None):
    """An EXIF block as it is in files, not as Pillow would write it."""
    return b"".join(
        (
            b"Exif\0\0",
            b"II*\0" if order == "<" else b"MM\0*",
            struct.pack(f"{order}L", 8),
            struct.pack(f"{order}H", len(entries) if count is None else count),
            *entries,
            struct.pack(f"{order}L", 0),
            after,
        )
    )


def encode(form, exif, pixels=PIXELS):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, exif=exif, **SAVED[form])
    return file.getvalue()


def decode(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        return decode_image(image)[0]


def stored_pixels(form):
    return np.array(Image.open(io.BytesIO(encode(form, b""))))


@pytest.mark.parametrize("form", SAVED)
@pytest.mark.parametrize("orientation", TURNED)
def test_every_orientation(form, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    encoded = encode(form, exif)
    expected = TURNED[orientation](stored_pixels(form))
    np.testing.assert_array_equal(decode(encoded), expected)
    pixels, kinds = decode_image(encoded)
    np.testing.assert_array_equal(pixels, expected)
    assert kinds == ({"rotated"} if orientation in range(2, 9) else set())


@pytest.mark.parametrize("form", SAVED)
def test_stored_sizes_need_no_pixels(form, monkeypatch):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    encoded = [encode(form, exif), encode(form, b"")]

    def load(image):
        pytest.fail("the image was decoded")

    monkeypatch.setattr(ImageFile, "load", load)
    turned, upright = (read_stored_size(x) for x in encoded)
    # Of TIFF files Pillow tells the size after turning.
    assert turned == ((5, 7, 6) if form == "TIFF" else (7, 5, 6))
    assert upright == (7, 5, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_pixels(mode):
    exif = Image.Exif()
    exif[ORIENTATION] = 7
    grey = PIXELS[..., 0]
    if mode == "I;16":
        image = Image.fromarray(grey.astype("uint16") * 256)
    else:
        image = Image.fromarray(grey).convert(mode)
    encoded = {}
    for name, arguments in (("upright", {}), ("turned", {"exif": exif})):
        file = io.BytesIO()
        image.save(file, "PNG", **arguments)
        encoded[name] = file.getvalue()
    expected = TURNED[7](decode(encoded["upright"]))
    np.testing.assert_array_equal(decode(encoded["turned"]), expected)


BLOCKS = {
    "long": lambda o: make_block(o, entry(o, ORIENTATION, 6, kind=4)),
    "byte": lambda o: make_block(o, entry(o, ORIENTATION, 6, kind=1)),
    "rational software": lambda o: make_block(
        o,
        entry(o, ORIENTATION, 6),
        entry(o, SOFTWARE, 38, kind=5),
        after=struct.pack(f"{o}LL", 10, 3),
    ),
    "numbers for text": lambda o: make_block(
        o, entry(o, MAKE, 7, kind=4), entry(o, ORIENTATION, 6)
    ),
    "text for a directory": lambda o: make_block(
        o, entry(o, ORIENTATION, 6), entry(o, PLACE, 7, kind=2, count=4)
    ),
    "unknown kinds of values": lambda o: make_block(
        o, entry(o, MAKE, 7, kind=77), entry(o, ORIENTATION, 6)
    ),
    "directory outside": lambda o: make_block(
        o, entry(o, ORIENTATION, 6), entry(o, PLACE, 77777, kind=4)
    ),
    "twice the prefix": lambda o: (
        b"Exif\0\0" + make_block(o, entry(o, ORIENTATION, 6))
    ),
}
# Pillow warns of these on opening.
DAMAGED = {
    "text outside": lambda o: make_block(
        o, entry(o, MAKE, 9999, kind=2, count=40), entry(o, ORIENTATION, 6)
    ),
    "endless text": lambda o: make_block(
        o, entry(o, MAKE, 38, kind=2, count=2**31), entry(o, ORIENTATION, 6)
    ),
    "too many tags": lambda o: make_block(
        o, entry(o, ORIENTATION, 6), count=500
    ),
    "cut": lambda o: make_block(
        o, entry(o, ORIENTATION, 6), entry(o, SOFTWARE, 1, kind=4)
    )[:30],
}


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "WEBP"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", [*BLOCKS, *DAMAGED])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_other_tags_do_not_matter(name, order, form):
    exif = {**BLOCKS, **DAMAGED}[name](order)
    expected = TURNED[6](stored_pixels(form))
    np.testing.assert_array_equal(decode(encode(form, exif)), expected)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0 no directory at all",
        make_block("<", entry("<", ORIENTATION, 6))[:12],
        make_block("<", entry("<", ORIENTATION, 6))[:20],
        make_block(">", entry(">", ORIENTATION, 6, kind=2)),
        make_block(">", entry(">", ORIENTATION, 65535)),
    ],
    ids=["empty", "text", "no offset", "cut tag", "as text", "out of range"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_without_an_orientation_to_read(form, exif):
    encoded = encode(form, exif)
    np.testing.assert_array_equal(decode(encoded), stored_pixels(form))


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        (SOFTWARE, 5, IFDRational(10, 3)),
        (MAKE, 4, 7),
        (PLACE, 2, "here"),
        (PLACE, 5, IFDRational(1, 3)),
    ],
)
def test_other_tags_of_tiff_files(tag, kind, value):
    tags = ImageFileDirectory_v2()
    tags[ORIENTATION] = 8
    tags.tagtype[tag] = kind
    tags[tag] = value
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "TIFF", tiffinfo=tags)
    np.testing.assert_array_equal(decode(file.getvalue()), TURNED[8](PIXELS))


def test_an_orientation_set_by_hand():
    image = Image.fromarray(PIXELS)
    image.getexif()[ORIENTATION] = 5
    np.testing.assert_array_equal(decode_image(image)[0], TURNED[5](PIXELS))


def test_an_orientation_in_xmp():
    file = io.BytesIO()
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    Image.fromarray(PIXELS).save(file, "WEBP", lossless=True, xmp=xmp)
    np.testing.assert_array_equal(decode(file.getvalue()), TURNED[3](PIXELS))


def test_every_reader(tmp_path):
    pixels = np.zeros((16, 32, 3), "uint8")
    pixels[:, 16:] = 255
    encoded = encode("JPEG", BLOCKS["rational software"]("<"), pixels)
    (tmp_path / "a.jpg").write_bytes(encoded)
    (image,) = load_images(tmp_path).values()
    assert image.shape == (32, 16, 3)
    loader = ImageLoader(
        tmp_path, image_size=8, patch_size=8, normalization=lambda x: x
    )
    ((_, images),) = list(loader)
    assert images[0, 0].max() < 32
    assert images[0, -1].min() > 224
    dataset = AugmentedImages(tmp_path, image_size=8, batch_size=1)
    dataset[0]
    assert dataset.counts == {"images": 1, "rotated": 1}
    assert not dataset.skipped
