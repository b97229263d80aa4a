"""Images in memory and on the disk, prepared for a backbone."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_capi
from keras_capi.data import ImageLoader


def pixels(height, width, seed=0):
    generator = np.random.default_rng(seed)
    # Smooth, so that resizing does not leave noise alone.
    coarse = generator.integers(0, 256, (5, 6, 3), "uint8")
    image = Image.fromarray(coarse).resize((width, height))
    return np.array(image)


def identity(batch):
    return batch


def load(images, **arguments):
    batches = list(ImageLoader(images, **arguments))
    names = [name for batch, _ in batches for name in batch]
    return names, np.concatenate([images for _, images in batches])


def expected_crop(image, resized, size):
    """The paper's evaluation, in Pillow."""
    height, width = image.shape[:2]
    scaled = (
        (resized, resized * height // width)
        if width < height
        else (resized * width // height, resized)
    )
    image = Image.fromarray(image).resize(scaled, Image.Resampling.BICUBIC)
    left = round((image.width - size) / 2)
    top = round((image.height - size) / 2)
    return np.array(image.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("shape", [(300, 451), (333, 201), (64, 64)], ids=str)
def test_prepares_like_the_evaluation_of_the_paper(shape):
    image = pixels(*shape)
    _, (loaded,) = load([image], normalization=identity)
    np.testing.assert_array_equal(loaded, expected_crop(image, 256, 224))


def test_normalizes_by_default():
    image = np.full((20, 20, 3), 255, "uint8")
    _, images = load([image], image_size=28)
    normalize = keras_capi.layers.ImageNetNormalization()
    expected = keras.ops.convert_to_numpy(normalize(image[:1, :1]))
    assert images.shape == (1, 28, 28, 3)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[0, :1, :1], expected, atol=1e-6)


def test_every_kind_of_image_gives_the_same(tmp_path):
    image = pixels(40, 50)
    Image.fromarray(image).save(tmp_path / "image.png")
    for images in (
        [image],
        image[None],
        [Image.fromarray(image)],
        [tmp_path / "image.png"],
        [str(tmp_path / "image.png")],
        str(tmp_path / "image.png"),
        tmp_path,
    ):
        _, loaded = load(images, image_size=28, normalization=identity)
        expected = load([image], image_size=28, normalization=identity)[1]
        np.testing.assert_array_equal(loaded, expected)


def test_a_single_image_and_named_ones(tmp_path):
    array = pixels(40, 60)
    [expected] = load([array])[1]
    for single in (array, Image.fromarray(array)):
        names, images = load(single)
        assert names == ["0"]
        np.testing.assert_array_equal(images[0], expected)
    gray = array[..., :1]
    np.testing.assert_array_equal(load(gray)[1], load([gray])[1])
    names, images = load({"first": array, "second": Image.fromarray(array)})
    assert names == ["first", "second"]
    np.testing.assert_array_equal(images[1], expected)


def test_missing_files_are_no_damaged_ones(tmp_path):
    Image.fromarray(pixels(20, 20)).save(tmp_path / "image.png")
    for images in (
        tmp_path / "no.png",
        [tmp_path / "image.png", tmp_path / "no.png"],
        [tmp_path],
        {"a": str(tmp_path / "no.png")},
    ):
        with pytest.raises(ValueError, match="must be existing files"):
            load(images)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_images_without_a_range_are_refused(dtype, tmp_path):
    gray = (pixels(20, 20)[..., 0] * 200).astype(dtype)
    Image.fromarray(gray).save(tmp_path / "image.tif")
    Image.fromarray(pixels(20, 20)).save(tmp_path / "image.png")
    with pytest.warns(UserWarning, match="image.tif.*32-bit images have no"):
        names, _ = load(tmp_path)
    assert names == ["image.png"]


def test_gray_images():
    gray = pixels(30, 40)[..., 0]
    _, loaded = load([gray], image_size=28, normalization=identity)
    colors = np.repeat(gray[..., None], 3, axis=-1)
    _, expected = load([colors], image_size=28, normalization=identity)
    np.testing.assert_array_equal(loaded, expected)
    images = [gray[..., None], Image.fromarray(gray)]
    _, loaded = load(images, image_size=28, normalization=identity)
    np.testing.assert_array_equal(loaded, np.repeat(expected, 2, axis=0))


def test_names_and_batches(tmp_path):
    for name in ("b.png", "a.jpg", "sub/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(40, 50)).save(path)
    loader = ImageLoader(tmp_path, image_size=28, batch_size=2)
    assert len(loader) == 2
    for _ in range(2):
        batches = list(loader)
        assert [names for names, _ in batches] == [
            ["a.jpg", "b.png"],
            ["sub/c.png"],
        ]
        assert [images.shape[0] for _, images in batches] == [2, 1]
    assert load(np.zeros((3, 9, 9, 3), "uint8"))[0] == ["0", "1", "2"]


def test_keeps_sizes():
    images = [pixels(30, 45), pixels(31, 44), pixels(60, 30), pixels(30, 44)]
    batches = list(ImageLoader(images, image_size=None, patch_size=14))
    assert [images.shape for _, images in batches] == [
        (2, 28, 42, 3),
        (1, 56, 28, 3),
        (1, 28, 42, 3),
    ]
    _, loaded = load(
        images[:1], image_size=None, patch_size=14, normalization=identity
    )
    np.testing.assert_array_equal(loaded[0], images[0][1:29, 2:44])


def test_not_square():
    _, images = load([pixels(50, 60)], image_size=(28, 56), crop_ratio=1.0)
    assert images.shape == (1, 28, 56, 3)


def test_skips_damaged_files_and_says_so(tmp_path):
    Image.fromarray(pixels(40, 50)).save(tmp_path / "good.png")
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:100])
    (tmp_path / "empty.jpg").write_bytes(b"")
    loader = ImageLoader(tmp_path, image_size=28)
    with pytest.warns(
        UserWarning, match=r"Skipped 2 of 3 .*cut.png .*empty.jpg"
    ):
        ((names, images),) = list(loader)
    assert names == ["good.png"]
    assert images.shape[0] == 1
    assert set(loader.skipped) == {"cut.png", "empty.jpg"}


def test_sixteen_bits(tmp_path):
    gray = np.arange(0, 65536, 64, "uint16").reshape(32, 32)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    _, images = load(
        tmp_path, image_size=None, patch_size=8, normalization=identity
    )
    np.testing.assert_array_equal(images[0, ..., 1], gray >> 8)


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        ([], {}, "`images` must not be empty"),
        (np.zeros((2, 9, 9, 3), "float32"), {}, "uint8 .*dtype float32"),
        (np.zeros((2, 9, 9, 4), "uint8"), {}, r"uint8 .*shape \(9, 9, 4\)"),
        (np.zeros((9, 9, 4), "uint8"), {}, r"uint8 .*shape \(9, 9, 4\)"),
        (np.zeros((9, 9, 4), "uint8"), {}, r"uint8 .*shape \(9, 9, 4\)"),
        (
            [np.zeros((9, 9, 3), "uint8")],
            {"image_size": 100},
            "that of your encoder",
        ),
        ([np.zeros((9, 9, 3), "uint8")], {"crop_ratio": 0}, r"in \(0, 1\]"),
        ([np.zeros((9, 9, 3), "uint8")], {"batch_size": 0}, "positive"),
        ([np.zeros((9, 9, 3), "uint8")], {"normalization": 5}, "a function"),
        ([np.zeros((9, 9, 3), "uint8")], {"image_size": None}, "patch_size"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_input(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        list(ImageLoader(images, **arguments))


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="must contain images"):
        ImageLoader(tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "leave out items without an image.*NoneType, for image 1"),
        ((pixels(9, 9), 3), "image alone.*tuple, of ndarray, int, for image 1"),
        ({"label": 3}, r"`key` must.*\['label'\], for image 1"),
        (3.5, "Items must be images.*type float, for image 1"),
    ],
    ids=str,
)
def test_what_is_no_image_is_named_at_once(image, message):
    with pytest.raises(ValueError, match=message):
        ImageLoader([pixels(9, 9), image])


def test_rows_and_bytes(tmp_path):
    Image.fromarray(pixels(40, 50)).save(tmp_path / "image.png")
    encoded = (tmp_path / "image.png").read_bytes()
    path = str(tmp_path / "image.png")
    images = [
        path,
        encoded,
        {"bytes": encoded, "path": None},
        {"image": {"bytes": None, "path": path}, "label": 1},
    ]
    names, loaded = load(images, image_size=28)
    assert names == [path, "1", "2", "3"]
    for image in loaded[1:]:
        np.testing.assert_array_equal(image, loaded[0])
    with pytest.warns(UserWarning, match="Skipped 1 of 2 images.*: 1 "):
        names, _ = load([encoded, encoded[:80]], image_size=28)
    assert names == ["0"]


def test_broken_links_are_skipped(tmp_path):
    """As in a training: their folder need not be mounted."""
    Image.fromarray(pixels(20, 20)).save(tmp_path / "image.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "no.png")
    paths = sorted(tmp_path.iterdir())
    for images in (tmp_path, paths, {"a": paths[0], "image.png": paths[1]}):
        with pytest.warns(UserWarning, match="Skipped 1 of 2 images"):
            names, loaded = load(images, image_size=14)
        assert [name.split("/")[-1] for name in names] == ["image.png"]
        assert len(loaded) == 1
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(ValueError, match="must be existing files"):
        load([tmp_path / "link"])
