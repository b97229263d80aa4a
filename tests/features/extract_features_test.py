"""Features of many images, in memory and in files."""

import errno
import json
import os
import shutil
import tracemalloc

import h5py
import numpy as np
import pytest
from helpers import make_backbone
from helpers import to_numpy
from PIL import Image

from keras_capi.data import ImageLoader
from keras_capi.encoders import ImageGPTEncoder
from keras_capi.features import extract_features
from keras_capi.features.careful_file import CarefulFile
from keras_capi.features.extract_features import _collect
from keras_capi.tasks import FeatureExtractor

FEATURES = ("global", "average", "registers", "feature_map", "layer_1")


def make_photos(count=5, height=20, width=24):
    generator = np.random.default_rng(0)
    shape = (count, height, width, 3)
    return generator.integers(0, 256, shape, "uint8")


def make_deep_backbone():
    return make_backbone(num_layers=2)


def expected_features(backbone, photos, **arguments):
    ((_, images),) = ImageLoader(photos, patch_size=4, **arguments)
    outputs = backbone(images, layers=(1,))
    features = {name: to_numpy(value) for name, value in outputs.items()}
    return {**features, "average": features["feature_map"].mean(axis=(1, 2))}


@pytest.mark.parametrize("image_size", [16, (8, 12)], ids=str)
def test_in_memory(image_size):
    backbone, photos = make_deep_backbone(), make_photos()
    names, features = extract_features(
        backbone, photos, FEATURES, image_size, batch_size=2, verbose=0
    )
    assert names == ["0", "1", "2", "3", "4"]
    assert tuple(features) == FEATURES
    expected = expected_features(backbone, photos, image_size=image_size)
    for name in FEATURES:
        assert features[name].dtype == np.float32
        np.testing.assert_allclose(features[name], expected[name], atol=1e-5)


def test_memory_of_many_batches():
    batches = (
        ([str(index)], {"feature_map": np.ones((1, 64, 64), "float32")})
        for index in range(100)
    )
    tracemalloc.start()
    try:
        names, features = _collect(batches, count=102)  # two are damaged
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert features["feature_map"].shape == (100, 64, 64)
    assert features["feature_map"].all()
    # Not twice, once in parts and once joined.
    assert peak < 1.5 * features["feature_map"].nbytes


def test_hdf5(tmp_path):
    backbone, photos = make_deep_backbone(), make_photos()
    arguments = {"image_size": 16, "batch_size": 2, "verbose": 0}
    path = tmp_path / "new" / "features.h5"
    extract_features(backbone, photos, FEATURES, output=path, **arguments)
    names, features = extract_features(backbone, photos, FEATURES, **arguments)
    with h5py.File(path) as file:
        assert list(file["names"].asstr()) == names
        assert set(file) == {"names", *FEATURES}
        for name in FEATURES:
            np.testing.assert_array_equal(file[name][:], features[name])
        config = json.loads(file.attrs["backbone"])
        assert config["hidden_dim"] == 16
        assert json.loads(file.attrs["image_size"]) == [16, 16]
    assert [found.name for found in path.parent.iterdir()] == ["features.h5"]


def test_npy(tmp_path):
    backbone, photos = make_deep_backbone(), make_photos(13)
    path = tmp_path / "features.npy"
    arguments = {"image_size": 16, "batch_size": 2, "verbose": 0}
    names, output = extract_features(
        backbone, photos, "registers", output=path, **arguments
    )
    assert output == path
    assert len(names) == 13
    _, features = extract_features(backbone, photos, "registers", **arguments)
    np.testing.assert_array_equal(np.load(path), features["registers"])
    np.testing.assert_array_equal(
        np.load(path, mmap_mode="r"), features["registers"]
    )


def test_sizes_of_their_own():
    backbone = make_backbone()
    photos = [*make_photos(2), *make_photos(1, 28, 16)]
    names, features = extract_features(
        backbone, photos, ("global", "average"), image_size=None, verbose=0
    )
    assert features["global"].shape == (3, 16)
    expected = expected_features(
        make_backbone_like(backbone), photos[2:], image_size=None
    )
    np.testing.assert_allclose(
        features["average"][2:], expected["average"], atol=1e-5
    )
    with pytest.raises(ValueError, match="choose 'global', 'average'"):
        extract_features(
            backbone, photos, "feature_map", image_size=None, verbose=0
        )


def make_backbone_like(backbone):
    copy = type(backbone).from_config(backbone.get_config())
    copy.set_weights(backbone.get_weights())
    return copy


def test_default_size_suits_the_patch_size():
    photos = make_photos(1)
    backbone = make_backbone(patch_size=10)
    _, features = extract_features(backbone, photos, "feature_map", verbose=0)
    assert features["feature_map"].shape == (1, 22, 22, 16)


@pytest.mark.parametrize("image_shape", [(16, 16, 3), (8, 20, 3)])
def test_default_size_is_that_of_the_model(image_shape):
    backbone, photos = make_backbone(image_shape=image_shape), make_photos()
    _, features = extract_features(
        backbone, photos, ("feature_map",), verbose=0
    )
    grid = tuple(size // 4 for size in image_shape[:2])
    assert features["feature_map"].shape[1:3] == grid
    expected = expected_features(backbone, photos, image_size=image_shape[:2])
    np.testing.assert_allclose(
        features["feature_map"], expected["feature_map"], atol=1e-5
    )


def test_damaged_files_are_left_out(tmp_path):
    Image.fromarray(make_photos(1)[0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="Skipped 1 of 2 images.*bad.png"):
        names, features = extract_features(
            make_backbone(), tmp_path, image_size=16, verbose=0
        )
    assert names == ["good.png"]
    assert features["global"].shape == (1, 16)
    (tmp_path / "good.png").write_bytes(b"")
    output = tmp_path / "features.h5"
    with (
        pytest.warns(UserWarning, match="Skipped 2 of 2"),
        pytest.raises(ValueError, match="At least one image must be readable"),
    ):
        extract_features(
            make_backbone(), tmp_path, image_size=16, output=output, verbose=0
        )
    assert not list(tmp_path.glob("features*"))


def make_folder(folder, sizes, **exif):
    """Files without compression, named by their number."""
    for index, (height, width) in enumerate(sizes):
        image = Image.fromarray(make_photos(1, height, width)[0])
        tags = image.getexif()
        tags[0x0112] = exif.get(f"image_{index}", 1)
        image.save(folder / f"{index}.tif", exif=tags)
    return folder


def extract_maps(backbone, images, **arguments):
    arguments = {"image_size": None, "batch_size": 2, "verbose": 0, **arguments}
    return extract_features(backbone, images, ("feature_map",), **arguments)[1]


@pytest.mark.parametrize(
    ("sizes", "exif"),
    [
        ([(16, 20)] * 9 + [(16, 24)], {}),
        # A photograph on its side.
        ([(16, 20)] * 10, {"image_9": 6}),
    ],
    ids=["size", "orientation"],
)
def test_different_sizes_are_found_before_any_work(
    sizes, exif, tmp_path, monkeypatch
):
    def predict_on_batch(*args):
        pytest.fail("features were computed")

    make_folder(tmp_path, sizes, **exif)
    monkeypatch.setattr(FeatureExtractor, "predict_on_batch", predict_on_batch)
    output = tmp_path / "new" / "features.h5"
    with pytest.raises(ValueError, match="`feature_map` of one shape.*--image"):
        extract_maps(make_backbone(), tmp_path, output=output)
    assert not output.parent.exists()


def test_equal_sizes_are_read_from_headers(tmp_path, monkeypatch):
    decoded, prepare = [], ImageLoader._prepare

    def count(loader, image):
        decoded.append(image)
        return prepare(loader, image)

    monkeypatch.setattr(ImageLoader, "_prepare", count)
    # Cut to the same multiple of the patch size.
    make_folder(tmp_path, [(16, 20)] * 5 + [(17, 23)] * 4)
    features = extract_maps(make_backbone(), tmp_path)
    assert features["feature_map"].shape == (9, 4, 5, 16)
    assert len(decoded) == 9 + 2


def test_damaged_images_have_no_size(tmp_path):
    make_folder(tmp_path, [(16, 20), (32, 32), (16, 20)])
    content = (tmp_path / "1.tif").read_bytes()
    strips = np.asarray(Image.open(tmp_path / "1.tif")).tobytes()
    assert strips in content
    # Its header is whole.
    (tmp_path / "1.tif").write_bytes(content.replace(strips, b""))
    with pytest.warns(UserWarning, match="Skipped 1 of 3 images"):
        features = extract_maps(make_backbone(), tmp_path)
    assert features["feature_map"].shape == (2, 4, 5, 16)


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_backbone(pad=True),
        lambda: ImageGPTEncoder(1, 16, 2, image_size=4, num_colors=8),
    ],
    ids=["padded", "resized"],
)
def test_different_sizes_may_give_one_shape(make):
    images = [make_photos(1, *size)[0] for size in ((15, 20), (16, 18))]
    assert len(extract_maps(make(), images)["feature_map"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": "cls"}, "`features` must be names among .*'cls'"),
        ({"features": ()}, "`features` must be names"),
        ({"features": "layer_3"}, "numbers from 1 .*num_layers=1"),
        ({"features": "layer_0"}, "`features` must be names"),
        ({"features": "layer_01"}, "`features` must be names"),
        ({"features": (1,)}, "`features` must be names"),
        ({"output": "features.txt"}, "must end in .npy, .h5"),
        (
            {"output": "features.npy", "features": ("global", "average")},
            "one feature; for several use `.h5`",
        ),
        ({"image_size": (10, 12)}, "divisible by `patch_size`"),
        ({"image_size": -1}, "image_size=-1"),
        ({"image_size": 28.5}, "image_size=28.5"),
    ],
    ids=str,
)
def test_bad_input(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        extract_features(
            make_backbone(),
            make_photos(1),
            **{"image_size": 16, "verbose": 0, **arguments},
        )
    assert not list(tmp_path.iterdir())


def test_progress_bar(capsys):
    extract_features(make_backbone(), make_photos(), image_size=16)
    assert "1/1" in capsys.readouterr().out


ODD_NAMES = ["caf\udce9.png", "\ud800", "nul\0", "caf\u00e9", "\\x"]
WRITTEN_NAMES = ["caf\\udce9.png", "\\ud800", "nul\\x00", "caf\u00e9", "\\x"]


@pytest.mark.parametrize("name", ["features.h5", "features.npy"])
def test_names_that_are_no_utf8_lose_nothing(name, tmp_path):
    backbone, photos = make_backbone(), make_photos()
    images = dict(zip(ODD_NAMES, photos, strict=True))
    arguments = {"image_size": 16, "batch_size": 2, "verbose": 0}
    path = tmp_path / name
    names, _ = extract_features(backbone, images, output=path, **arguments)
    assert names == ODD_NAMES
    _, expected = extract_features(backbone, photos, **arguments)
    if path.suffix == ".npy":
        np.testing.assert_array_equal(np.load(path), expected["global"])
        return
    with h5py.File(path) as file:
        assert list(file["names"].asstr()) == WRITTEN_NAMES
        np.testing.assert_array_equal(file["global"][:], expected["global"])


def test_files_with_names_that_are_no_utf8(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    try:
        for index, name in enumerate((b"a.png", b"caf\xe9.png", b"\xff.png")):
            with open(os.path.join(bytes(folder), name), "wb") as file:
                Image.fromarray(make_photos(3)[index]).save(file, "PNG")
    except OSError:
        pytest.skip("This file system takes UTF-8 alone.")
    (folder / os.fsdecode(b"bad\xe9.png")).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"Skipped 1 of 4 .*bad\\udce9.png"):
        names, output = extract_features(
            make_backbone(),
            folder,
            image_size=16,
            output=str(tmp_path / "features.h5"),
            verbose=0,
        )
    assert [os.fsencode(name) for name in names] == [
        b"a.png",
        b"caf\xe9.png",
        b"\xff.png",
    ]
    with h5py.File(output) as file:
        assert file["global"].shape == (3, 16)
        assert list(file["names"].asstr())[1:] == [
            "caf\\udce9.png",
            "\\udcff.png",
        ]


def test_a_home_folder_and_a_generator(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(make_photos(1)[0]).save(tmp_path / "1.png")
    names, output = extract_features(
        make_backbone(),
        (path for path in ["~/1.png", tmp_path / "1.png"]),
        image_size=16,
        output="~/new/features.npy",
        verbose=0,
    )
    assert names == ["~/1.png", str(tmp_path / "1.png")]
    assert output == str(tmp_path / "new" / "features.npy")
    assert np.load(output).shape == (2, 16)


@pytest.mark.parametrize("name", ["features.h5", "features.npy"])
def test_links_are_not_written_through(name, tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / f"{name}.partial").symlink_to(other)
    (tmp_path / name).symlink_to(other)
    arguments = {"image_size": 16, "verbose": 0}
    extract_features(
        make_backbone(), make_photos(), output=tmp_path / name, **arguments
    )
    assert other.read_text() == "precious"
    assert (tmp_path / f"{name}.partial").is_symlink()
    assert not (tmp_path / name).is_symlink()
    plain = tmp_path / "plain"
    plain.write_text("")
    assert (tmp_path / name).stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["features.h5", "features.npy"])
def test_a_full_disk(name, tmp_path, monkeypatch):
    arguments = {"image_size": 16, "batch_size": 2, "verbose": 0}
    arguments |= {"output": tmp_path / name, "features": "feature_map"}
    usage = type("usage", (), {"free": 1000})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(OSError, match="room for 5,120 bytes.*1,000 bytes"):
            extract_features(make_backbone(), make_photos(), **arguments)
    assert not list(tmp_path.iterdir())
    attempt = CarefulFile._try

    def fail(self, function, argument):
        if self.tell() > 12_000:
            self.failure = OSError(errno.ENOSPC, "No space left on device")
            return None
        return attempt(self, function, argument)

    monkeypatch.setattr(CarefulFile, "_try", fail)
    with pytest.raises(OSError, match="No space left"):
        extract_features(make_backbone(), make_photos(60), **arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_as_output_is_seen_before_the_work(tmp_path):
    (tmp_path / "features.h5").mkdir()
    with pytest.raises(ValueError, match="must be a file, not a folder"):
        extract_features(
            make_backbone(),
            make_photos(),
            image_size=16,
            output=tmp_path / "features.h5",
            verbose=0,
        )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "type NoneType, for image 40"),
        (np.zeros((9, 9, 3), "float32"), "dtype float32, for image 40"),
        (Image.new("F", (9, 9)), "32-bit images.*for image 40"),
        ("nowhere.png", "existing files.*nowhere.png"),
    ],
    ids=["none", "float", "float in pillow", "missing"],
)
def test_all_images_are_checked_before_the_work(image, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        extract_features(
            make_backbone(),
            [*make_photos(40), image],
            image_size=16,
            output=tmp_path / "features.h5",
            verbose=0,
        )
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_in_the_configuration(tmp_path):
    backbone = make_backbone(num_layers=np.int64(1))
    loader = ImageLoader(
        make_photos(2), 16, crop_ratio=np.float32(0.5), patch_size=4
    )
    path = tmp_path / "features.h5"
    extract_features(backbone, loader, output=path, verbose=0)
    with h5py.File(path) as file:
        assert json.loads(file.attrs["backbone"])["num_layers"] == 1
        assert json.loads(file.attrs["crop_ratio"]) == 0.5


def test_a_configuration_that_is_no_json_leaves_no_file(tmp_path, monkeypatch):
    backbone = make_backbone()
    monkeypatch.setattr(backbone, "get_config", lambda: {"layer": object()})
    with pytest.raises((TypeError, AttributeError)):
        extract_features(
            backbone, make_photos(2), output=tmp_path / "a.h5", verbose=0
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("image_size", [18, np.int64(18)], ids=repr)
def test_an_integer_is_rounded_down(image_size):
    _, features = extract_features(
        make_backbone(), make_photos(1), ("feature_map",), image_size, verbose=0
    )
    assert features["feature_map"].shape[1:3] == (4, 4)
