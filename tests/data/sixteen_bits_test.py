"""Images with more than 8 bits."""

import struct
import zlib

import numpy as np
import pytest
from image_helpers import encode
from image_helpers import identity
from image_helpers import make_dataset
from PIL import Image

import keras_capi


def grey16(value):
    return Image.fromarray(np.full((30, 30), value, "uint16"))


@pytest.mark.parametrize(
    "dark",
    [
        encode(grey16(4095)),
        encode(grey16(4095), "TIFF"),
        grey16(2**14 - 1),
        np.full((30, 30, 3), 1000, "uint16"),
    ],
    ids=["png", "tiff", "PIL", "array"],
)
def test_dark_16_bit_images(dark):
    with pytest.warns(UserWarning, match="no bright pixel.*`white_level=4095`"):
        make_dataset([dark] * 4)[0]
    value = 1000 if isinstance(dark, np.ndarray) else 2**14 - 1
    value = 4095 if isinstance(dark, bytes) else value
    dataset = make_dataset([dark] * 4, white_level=value)
    (batch,) = dataset[0]
    np.testing.assert_array_equal(batch, 255)
    assert dataset.counts["16-bit"] == 4
    (batch,) = make_dataset([dark] * 4, white_level=2 * value + 1)[0]
    np.testing.assert_allclose(batch, 127, atol=1)
    (batch,) = make_dataset([dark] * 4, white_level=65535)[0]
    np.testing.assert_array_equal(batch, value >> 8)
    # Bright ones need nothing.
    make_dataset([grey16(2**14)] * 4)[0]


def png16(value):
    """A PNG of 16-bit colours, which Pillow cannot write."""

    def chunk(name, content):
        code = zlib.crc32(name + content)
        length = struct.pack(">I", len(content))
        return length + name + content + struct.pack(">I", code)

    header = struct.pack(">IIBBBBB", 30, 30, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">H", value) * 90
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(row * 30)),
            chunk(b"IEND", b""),
        )
    )


def tiff(values, photometric):
    """A TIFF file of grey values, whose tag Pillow does not let one choose."""
    values = np.asarray(values)
    height, width = values.shape
    content = values.tobytes()
    tags = {
        256: width,
        257: height,
        258: 8 * values.itemsize,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: height,
        279: len(content),
    }
    entries = (struct.pack("<HHII", tag, 4, 1, x) for tag, x in tags.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    return b"".join(
        (start, content, struct.pack("<H", len(tags)), *entries, bytes(4))
    )


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_least_values_that_are_white(kind, tmp_path):
    """Pillow inverts such files of 8 bits, but not of 16."""
    values = np.zeros((30, 30), kind)
    values[:, 10:20] = 128 << 8 * (values.itemsize - 1)
    values[:, 20:] = np.iinfo(kind).max
    for photometric, expected in ((0, (255, 127, 0)), (1, (0, 128, 255))):
        (tmp_path / "a.tif").write_bytes(tiff(values, photometric))
        image = read_folder(tmp_path)
        assert tuple(image[5, ::10, 0]) == expected


def test_least_values_that_are_white_of_12_bits(tmp_path):
    values = np.zeros((30, 30), "uint16")
    values[:, 20:] = 4095
    (tmp_path / "a.tif").write_bytes(tiff(values, 0))
    image = read_folder(tmp_path, white_level=4095)
    assert tuple(image[5, ::20, 0]) == (255, 0)


def test_dark_16_bit_colors():
    with pytest.warns(UserWarning, match="no bright pixel.*uint16 arrays"):
        make_dataset([png16(4095)] * 4)[0]
    with pytest.raises(ValueError, match="16-bit colours.*white_level=4095"):
        make_dataset([png16(4095)] * 4, white_level=4095)[0]
    (batch,) = make_dataset([png16(4095)] * 4, white_level=65535)[0]
    np.testing.assert_array_equal(batch, 15)
    (batch,) = make_dataset([png16(65535)] * 4)[0]
    np.testing.assert_array_equal(batch, 255)


def read_folder(folder, **arguments):
    (image,) = keras_capi.data.load_images(folder, **arguments).values()
    return image


def read_classes(folder, **arguments):
    (image,), _, _ = keras_capi.data.load_labelled_images(
        folder, image_size=30, crop_ratio=1.0, **arguments
    )
    return image


def read_pairs(folder, **arguments):
    (folder / "masks" / "a").mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(np.zeros((30, 30), "uint8"))
    mask.save(folder / "masks" / "a" / "image.png")
    (image,), _ = keras_capi.data.load_segmentation(
        (folder / "images", folder / "masks"), image_size=30, **arguments
    )
    return image


def load_batch(folder, **arguments):
    ((_, images),) = keras_capi.data.ImageLoader(
        folder, image_size=28, normalization=identity, **arguments
    )
    return images


@pytest.mark.parametrize(
    "read", [read_folder, read_classes, read_pairs, load_batch]
)
def test_all_readers_know_the_white_level(read, tmp_path):
    for name in ("default", "white"):
        folder = (
            tmp_path / name / ("images" if read is read_pairs else "") / "a"
        )
        folder.mkdir(parents=True)
        grey16(1023).save(folder / "image.png")
    with pytest.warns(UserWarning, match="no bright pixel.*`white_level="):
        np.testing.assert_array_equal(read(tmp_path / "default"), 3)
    image = read(tmp_path / "white", white_level=1023)
    np.testing.assert_array_equal(image, 255)
    for white_level in (-1, True):
        with pytest.raises(ValueError, match="`white_level` must be an int"):
            read(tmp_path, white_level=white_level)
