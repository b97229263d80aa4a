"""Images with masks, in the layouts of published data sets."""

import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_capi.data import load_segmentation

# More columns than rows, and neither a multiple of the result's.
SHAPE, SIZE = (45, 61), 14


def save_image(path, seed=0, shape=SHAPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), "uint8")
    Image.fromarray(coarse).resize(shape[::-1]).save(path)


def make_labels(seed=0, high=256, shape=SHAPE, dtype="uint8"):
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


def save_mask(path, labels, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if palette:
        # Colours whose grey values are not the labels.
        image.putpalette([(37 * n) % 256 for n in range(3 * 256)])
        assert image.mode == "P"
    image.save(path)


def packed_rows(labels, bits):
    """Yields the bytes of each row."""
    for row in labels:
        used = np.unpackbits(row[:, None], axis=1)[:, -bits:]
        yield np.packbits(used.ravel()).tobytes()


def save_low_bit_mask(path, labels, bits):
    """Writes grey values of few bits, which Pillow itself cannot."""
    # With a byte that says that there is no filter.
    rows = b"".join(b"\0" + row for row in packed_rows(labels, bits))
    height, width = labels.shape
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        checksum = zlib.crc32(kind + data)
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", checksum)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def save_tiff_mask(path, labels, bits, is_white_zero):
    """Writes grey values of which 0 is white, or black."""
    rows = b"".join(packed_rows(labels, bits))
    height, width = labels.shape
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,  # No compression.
        262: int(not is_white_zero),
        273: 8,  # Where the rows are, after the header.
        277: 1,
        278: height,
        279: len(rows),
    }
    table = struct.pack("<H", len(tags))
    for tag, value in tags.items():
        table += struct.pack("<HHII", tag, 4, 1, value)
    header = b"II*\0" + struct.pack("<I", 8 + len(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + rows + table + bytes(4))


def expected_image(path):
    image = Image.open(path).convert("RGB")
    return np.array(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def expected_mask(labels):
    rows, columns = (
        np.floor((np.arange(SIZE) + 0.5) * n / SIZE).astype(int)
        for n in labels.shape
    )
    return labels[np.ix_(rows, columns)]


def check(loaded, expected):
    """Compares with a list of pairs, of an image's path and labels."""
    images, masks = loaded
    assert images.shape == (len(expected), SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    assert masks.dtype == np.uint8
    for image, mask, (path, labels) in zip(
        images, masks, expected, strict=True
    ):
        np.testing.assert_array_equal(image, expected_image(path))
        np.testing.assert_array_equal(mask, expected_mask(labels))


@pytest.fixture
def folders(tmp_path):
    """Two pairs, whose order is not that of writing, and their folders."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for seed, name in enumerate(("b.c", "a/b")):
        save_image(images / f"{name}.jpg", seed)
        save_mask(masks / f"{name}.png", make_labels(seed))
    (masks / "classes.txt").write_text("no mask")
    return images, masks


def test_folders(folders):
    expected = [
        (folders[0] / "a/b.jpg", make_labels(1)),
        (folders[0] / "b.c.jpg", make_labels(0)),
    ]
    check(load_segmentation(folders, image_size=SIZE), expected)
    source = [str(folder) for folder in folders]
    check(load_segmentation(source, image_size=SIZE), expected)
    assert load_segmentation(folders)[1].shape == (2, 224, 224)


@pytest.mark.parametrize("palette", [False, True])
def test_masks_of_eight_bits(tmp_path, palette):
    save_image(tmp_path / "images" / "a.png")
    path = tmp_path / "masks" / "a.png"
    save_mask(path, make_labels(), palette)
    loaded = load_segmentation(
        (tmp_path / "images", tmp_path / "masks"), image_size=SIZE
    )
    check(loaded, [(tmp_path / "images" / "a.png", make_labels())])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits(tmp_path, bits):
    save_image(tmp_path / "images" / "a.png")
    labels = make_labels(high=2**bits)
    save_low_bit_mask(tmp_path / "masks" / "a.png", labels, bits)
    loaded = load_segmentation(
        (tmp_path / "images", tmp_path / "masks"), image_size=SIZE
    )
    check(loaded, [(tmp_path / "images" / "a.png", labels)])


@pytest.mark.parametrize("is_white_zero", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_that_are_tiff_files(tmp_path, bits, is_white_zero):
    """By another name. The numbers are labels, whichever is white."""
    save_image(tmp_path / "images" / "a.png")
    labels = make_labels(high=2**bits)
    path = tmp_path / "masks" / "a.png"
    save_tiff_mask(path, labels, bits, is_white_zero)
    with Image.open(path) as image:
        assert image.format == "TIFF"
    loaded = load_segmentation(
        (tmp_path / "images", tmp_path / "masks"), image_size=SIZE
    )
    check(loaded, [(tmp_path / "images" / "a.png", labels)])


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_masks_of_more_bits(folders, dtype):
    labels = make_labels(high=65536, dtype=dtype)
    path = folders[1] / "a" / "b.png"
    if dtype == "uint16":
        save_mask(path, labels)
    else:
        # Pillow reads 32 bits from other formats alone; it does not mind names.
        Image.fromarray(labels).save(path, format="TIFF")
    _, masks = load_segmentation(folders, image_size=SIZE)
    assert masks.dtype == np.int32
    assert masks.max() > 255
    np.testing.assert_array_equal(masks[0], expected_mask(labels))
    np.testing.assert_array_equal(masks[1], expected_mask(make_labels(0)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_of_colors(folders, mode):
    path = folders[1] / "a" / "b.png"
    Image.new(mode, SHAPE[::-1]).save(path)
    with pytest.raises(ValueError, match=f"no RGB colours.*Received: {path}"):
        load_segmentation(folders)


def test_masks_that_are_jpeg_files(folders):
    path = folders[1] / "a" / "b.png"
    Image.fromarray(make_labels(1)).save(path, format="JPEG")
    with pytest.raises(ValueError, match=f"nor JPEG files. Received: {path}"):
        load_segmentation(folders)


def test_masks_of_another_size(folders):
    save_mask(folders[1] / "a" / "b.png", make_labels(shape=(45, 60)))
    with pytest.raises(
        ValueError, match=r"a/b.jpg of \(45, 61\) and .*b.png of \(45, 60\)"
    ):
        load_segmentation(folders)


def test_missing_and_surplus_masks(folders):
    for index in range(12):
        save_image(folders[0] / f"{index:02}.png")
    save_mask(folders[1] / "c" / "d.png", make_labels())
    with pytest.raises(
        ValueError,
        match=r"missing masks \(12: 00.png.*, 09.png, \.\.\.\) and masks "
        r"without image \(1: c/d.png\)$",
    ):
        load_segmentation(folders)


def test_only_missing_or_only_surplus_masks(folders):
    save_mask(folders[1] / "c.png", make_labels())
    with pytest.raises(ValueError, match=r"\(none\) and .*\(1: c.png\)"):
        load_segmentation(folders)
    (folders[1] / "c.png").unlink()
    save_image(folders[0] / "d.jpg")
    with pytest.raises(ValueError, match=r"\(1: d.png\) and .*\(none\)"):
        load_segmentation(folders)


def test_images_are_turned_and_masks_are_not(tmp_path):
    colors = np.zeros((*SHAPE, 3), "uint8")
    colors[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned clockwise by 90 degrees.
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "a.png"
    Image.fromarray(colors).save(path, exif=exif)
    labels = make_labels(shape=SHAPE[::-1])
    save_mask(tmp_path / "masks" / "a.png", labels)
    images, masks = load_segmentation(
        (tmp_path / "images", tmp_path / "masks"), image_size=SIZE
    )
    assert images[0, :, -1].min() == 255
    assert images[0, :, 0].max() == 0
    np.testing.assert_array_equal(masks[0], expected_mask(labels))


def test_masks_must_be_png(folders):
    (folders[1] / "b.c.png").rename(folders[1] / "b.c.bmp")
    with pytest.raises(
        ValueError, match=r"missing masks \(1: b.c.png\).*\(1: b.c.bmp\)"
    ):
        load_segmentation(folders)


def test_extensions_in_capitals(folders):
    images, masks = load_segmentation(folders, SIZE)
    for folder in folders:
        for path in folder.rglob("*.*"):
            path.rename(path.with_suffix(path.suffix.upper()))
    again = load_segmentation(folders, SIZE)
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], masks)


def test_images_that_share_a_mask(folders):
    save_image(folders[0] / "b.c.png")
    with pytest.raises(ValueError, match="b.c.jpg and .*b.c.png"):
        load_segmentation(folders)


def test_damaged_files_are_named_and_skipped(folders):
    save_image(folders[0] / "z.png")
    save_mask(folders[1] / "z.png", make_labels())
    path = folders[1] / "a" / "b.png"
    path.write_bytes(path.read_bytes()[:200])
    (folders[0] / "z.png").write_bytes(b"")
    with pytest.warns(
        UserWarning, match="Skipped 2 of 3.*masks/a/b.png.*images/z.png"
    ) as warnings:
        loaded = load_segmentation(folders, image_size=SIZE)
    assert len(warnings) == 1
    assert warnings[0].filename == __file__
    check(loaded, [(folders[0] / "b.c.jpg", make_labels(0))])
    (folders[0] / "b.c.jpg").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="Skipped 3 of 3"),
        pytest.raises(ValueError, match="with 3 pairs, none"),
    ):
        load_segmentation(folders)


def test_ade20k(tmp_path):
    for seed, name in enumerate(
        ("training/ADE_train_00000002", "training/ADE_train_00000001")
    ):
        save_image(tmp_path / "images" / f"{name}.jpg", seed)
        save_mask(
            tmp_path / "annotations" / f"{name}.png", make_labels(seed, 151)
        )
    name = "validation/ADE_val_00000001"
    save_image(tmp_path / "images" / f"{name}.jpg", 2)
    save_mask(tmp_path / "annotations" / f"{name}.png", make_labels(2, 151))

    loaded = load_segmentation(tmp_path, SIZE, "ade20k")
    training = tmp_path / "images" / "training"
    expected = [
        (training / "ADE_train_00000001.jpg", make_labels(1, 151)),
        (training / "ADE_train_00000002.jpg", make_labels(0, 151)),
    ]
    check(loaded, expected)
    loaded = load_segmentation(str(tmp_path), SIZE, "ade20k", "validation")
    expected = [(tmp_path / "images" / f"{name}.jpg", make_labels(2, 151))]
    check(loaded, expected)

    (tmp_path / "annotations" / f"{name}.png").unlink()
    with pytest.raises(ValueError, match="must contain images"):
        load_segmentation(tmp_path, SIZE, "ade20k", "validation")
    with pytest.raises(ValueError, match="folders.*none/images/training"):
        load_segmentation(tmp_path / "none", SIZE, "ade20k")


@pytest.fixture
def voc2012(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    # Not all images have masks.
    for seed in range(4):
        save_image(root / "JPEGImages" / f"2007_{seed}.jpg", seed)
    for seed in range(3):
        path = root / "SegmentationClass" / f"2007_{seed}.png"
        save_mask(path, make_labels(seed), palette=True)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_2\n2007_0\n")
    (lists / "val.txt").write_text("2007_1\n")
    (lists / "trainval.txt").write_text("2007_0\n2007_1\n2007_2\n")
    return root


@pytest.mark.parametrize(
    ("split", "seeds"),
    [("train", [2, 0]), ("validation", [1]), ("trainval", [0, 1, 2])],
)
def test_voc2012(voc2012, split, seeds):
    expected = [
        (voc2012 / "JPEGImages" / f"2007_{seed}.jpg", make_labels(seed))
        for seed in seeds
    ]
    for source in (voc2012, voc2012.parents[1]):
        check(load_segmentation(source, SIZE, "voc2012", split), expected)


def test_voc2012_without_files(voc2012):
    (voc2012 / "SegmentationClass" / "2007_2.png").unlink()
    (voc2012 / "JPEGImages" / "2007_0.jpg").unlink()
    with pytest.raises(
        ValueError,
        match="2: SegmentationClass/2007_2.png, JPEGImages/2007_0.jpg$",
    ):
        load_segmentation(voc2012, layout="voc2012")
    (voc2012 / "ImageSets" / "Segmentation" / "val.txt").write_text("\n")
    with pytest.raises(ValueError, match="must name images.*val.txt, empty"):
        load_segmentation(voc2012, layout="voc2012", split="validation")
    with pytest.raises(ValueError, match="VOCdevkit.*without .*train.txt"):
        load_segmentation(voc2012 / "JPEGImages", layout="voc2012")


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("x", {}, r"pair, \(image_folder, mask_folder\).*'x'"),
        (("x", "y", "z"), {}, "`source` must be a pair"),
        (("x", "y"), {}, "existing folders. Received: x"),
        (("x", "y"), {"split": "validation"}, "`split` must be left out"),
        (("x", "y"), {"layout": "coco"}, "'folders', 'ade20k', 'voc2012'.*'c"),
        (("x", "y"), {"layout": "ade20k"}, "must be a folder, with.*'ade20k'"),
        ("x", {"layout": "ade20k", "split": "trainval"}, "'train', 'valida"),
        ("x", {"layout": "voc2012", "split": "val"}, "`split` must be.*'val'"),
        (("x", "y"), {"image_size": 0}, "`image_size` must be a positive"),
    ],
    ids=str,
)
def test_bad_arguments(monkeypatch, tmp_path, source, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert not pathlib.Path("x").exists()
    with pytest.raises(ValueError, match=message):
        load_segmentation(source, **arguments)
