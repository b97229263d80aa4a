"""Images with more than 8 bits."""

import struct
import zlib

import numpy as np
import pytest
from image_helpers import encode
from image_helpers import make_dataset
from PIL import Image


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


def test_dark_16_bit_colors():
    with pytest.warns(UserWarning, match="no bright pixel.*uint16 arrays"):
        make_dataset([png16(4095)] * 4)[0]
    with pytest.raises(ValueError, match="16-bit colours.*white_level=4095"):
        make_dataset([png16(4095)] * 4, white_level=4095)[0]
    (batch,) = make_dataset([png16(4095)] * 4, white_level=65535)[0]
    np.testing.assert_array_equal(batch, 15)
    (batch,) = make_dataset([png16(65535)] * 4)[0]
    np.testing.assert_array_equal(batch, 255)
