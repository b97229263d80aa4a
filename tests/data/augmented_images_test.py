"""Batches for pretraining, from images of all kinds."""

import concurrent.futures
import io
import tarfile

import keras
import numpy as np
import pytest
from helpers import make_denoising
from helpers import weights_of
from image_helpers import SIZE
from image_helpers import encode
from image_helpers import make_dataset
from image_helpers import photo
from image_helpers import run_epoch
from image_helpers import which
from image_helpers import write_folder
from PIL import Image

import keras_capi
from keras_capi.data import TarShards

pytestmark = pytest.mark.usefixtures("untraced")


def test_each_epoch_takes_each_image_once_in_another_order(tmp_path):
    dataset = make_dataset(write_folder(tmp_path / "images"))
    assert len(dataset) == 3
    first, second = run_epoch(dataset), run_epoch(dataset)
    assert first[0].shape == (4, SIZE, SIZE, 3)
    assert first[0].dtype == np.float32
    assert sorted(which(first)) == sorted(which(second)) == list(range(12))
    assert which(first) != which(second) != list(range(12))
    assert dataset.counts == {"images": 24}
    again = make_dataset(tmp_path / "images")
    np.testing.assert_array_equal(run_epoch(again), first)
    other = make_dataset(tmp_path / "images", seed=1)
    assert which(run_epoch(other)) != which(first)


def test_goes_on_within_an_epoch():
    images = np.stack([photo(index) for index in range(12)])
    dataset = make_dataset(images)
    run_epoch(dataset)
    expected = run_epoch(dataset)
    resumed = make_dataset(images)
    resumed.go_to(1, 2)
    assert len(resumed) == 1
    np.testing.assert_array_equal(run_epoch(resumed), expected[2:])
    assert resumed.position == (2, 0)


def test_processes_share_the_images():
    images = np.stack([photo(index) for index in range(13)])
    parts = [
        which(run_epoch(make_dataset(images, batch_size=3, share=(index, 2))))
        for index in range(2)
    ]
    assert len(parts[0]) == len(parts[1]) == 6
    assert len({*parts[0], *parts[1]}) == 12


def test_few_images_are_taken_often():
    images = np.stack([photo(index) for index in range(3)])
    dataset = make_dataset(images, samples_per_image=8)
    assert len(dataset) == 6
    assert sorted(which(run_epoch(dataset))) == sorted([0, 1, 2] * 8)
    assert which(run_epoch(dataset)) != which(run_epoch(dataset))


def test_threads_share_images_of_pillow():
    """Which it reads when they are first used."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 600, 3), "uint8")
    files = [encode(Image.fromarray(noise ^ n)) for n in range(4)]
    datasets = [
        make_dataset(images, samples_per_image=8)
        for images in (files, [Image.open(io.BytesIO(x)) for x in files])
    ]
    expected = run_epoch(datasets[0])
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda n: datasets[1][n][0], range(8)))
    np.testing.assert_array_equal(found, expected)
    assert not datasets[1].skipped


def test_windows_are_flipped_and_of_the_right_size():
    rows, columns = np.indices((100, 120))
    image = np.stack([rows, columns, 0 * rows], axis=-1).astype("uint8")
    dataset = make_dataset([image] * 400, batch_size=400)
    (batch,) = dataset[0]
    heights = batch[:, -1, 0, 0] - batch[:, 0, 0, 0]
    widths = batch[:, 0, -1, 1] - batch[:, 0, 0, 1]
    assert 0.4 < np.mean(widths < 0) < 0.6
    areas = heights * np.abs(widths) / (100 * 120)
    # Pixels at the edges of the result are means of a few.
    assert 0.45 < areas.min() < 0.6 and 0.8 < areas.max() <= 1
    aspects = np.abs(widths) / heights
    assert 0.7 < aspects.min() < 0.85 and 1.2 < aspects.max() < 1.4


def test_normalizes_as_published():
    image = np.full((20, 20, 3), 255, "uint8")
    (batch,) = make_dataset([image] * 4, normalization="imagenet")[0]
    expected = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(batch[0, 0, 0], expected, rtol=1e-5)


def odd_images():
    """One of each kind, and what they should count as."""
    image = Image.fromarray(photo(5))
    exif = Image.Exif()
    exif[0x0112] = 6
    grey16 = Image.fromarray(np.full((30, 30), 200 * 256, "uint16"))
    palette = image.quantize(4)
    truncated = encode(image, "JPEG")
    return {
        "plain": (encode(image), []),
        "greyscale": (encode(image.convert("L")), ["greyscale"]),
        "greyscale array": (photo(5)[..., :1], ["greyscale"]),
        "cmyk": (encode(image.convert("CMYK"), "JPEG"), ["cmyk"]),
        "16-bit": (encode(grey16), ["16-bit", "greyscale"]),
        "alpha": (encode(image.convert("RGBA")), ["alpha"]),
        "palette": (encode(palette, transparency=0), ["alpha"]),
        "rotated": (encode(image, "JPEG", exif=exif), ["rotated"]),
        "huge": (
            encode(Image.new("L", (8000, 7000)), "JPEG"),
            ["huge", "greyscale"],
        ),
        "bilevel": (encode(image.convert("1")), ["greyscale"]),
        "empty": (b"", ["unreadable"]),
        "not an image": (b"text", ["unreadable"]),
        "truncated": (truncated[: len(truncated) // 2], ["unreadable"]),
    }


@pytest.mark.parametrize("kind", odd_images())
def test_odd_images_are_handled_and_counted(kind):
    image, kinds = odd_images()[kind]
    dataset = make_dataset([image, photo(1), photo(1), photo(1)])
    (batch,) = dataset[0]
    assert batch.shape == (4, SIZE, SIZE, 3)
    assert set(dataset.counts) == {"images", *kinds}
    assert dataset.counts["images"] == 4
    assert all(dataset.counts[name] >= 1 for name in kinds)
    dataset.on_epoch_begin()
    if "unreadable" in kinds:
        assert list(dataset.skipped) == ["0"]
        with pytest.warns(UserWarning, match=r"Skipped 1 of 4 images.*: 0 \("):
            dataset.on_epoch_end()
    else:
        dataset.on_epoch_end()


def test_rotated_images_are_turned():
    image = np.zeros((40, 20, 3), "uint8")
    image[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    encoded = encode(Image.fromarray(image), "JPEG", exif=exif)
    (batch,) = make_dataset([encoded] * 4)[0]
    assert batch[:, 0].mean() < 20 and batch[:, -1].mean() > 235


def test_unreadable_images_are_named(tmp_path):
    folder = write_folder(tmp_path / "images", 5)
    (folder / "02.png").write_bytes(b"broken")
    dataset = make_dataset(folder, batch_size=5)
    (batch,) = dataset[0]
    assert list(dataset.skipped) == [str(folder / "02.png")]
    # Others take its place.
    assert set(which([batch])) <= {0, 1, 3, 4}


def test_parts_are_drawn_alike_where_jpegs_are_decoded_smaller():
    rows, columns = np.indices((800, 900)) / 4
    image = Image.fromarray(
        np.stack([rows, columns, 0 * rows], axis=-1).astype("uint8")
    )
    whole, reduced = (
        make_dataset([encode(image, kind, **options)] * 4)[0][0]
        for kind, options in (("PNG", {}), ("JPEG", {"quality": 95}))
    )
    # A shift by a hundredth of the image would change values by two.
    assert np.abs(whole - reduced)[..., :2].mean() < 1


def write_shards(folder):
    folder.mkdir()
    for shard in range(2):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for index in range(6 * shard, 6 * shard + 6):
                for suffix, content in (
                    (".png", encode(Image.fromarray(photo(index)))),
                    (".cls", b"3"),
                ):
                    info = tarfile.TarInfo(f"{index:02}{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return folder


def test_tar_shards(tmp_path):
    folder = write_shards(tmp_path / "shards")
    shards = TarShards(folder)
    assert len(shards) == 12
    assert shards.name(7) == f"{folder / '1.tar'}/07.png"
    np.testing.assert_array_equal(
        np.array(Image.open(io.BytesIO(shards[7]))), photo(7)
    )
    batches = run_epoch(make_dataset(shards))
    assert sorted(which(batches)) == list(range(12))
    one = TarShards(folder / "1.tar")
    assert [one[0], len(one)] == [shards[6], 6]
    (folder / "1.tar").rename(folder / "1.TAR")
    assert len(TarShards(folder)) == 12


def test_bad_shards(tmp_path):
    with pytest.raises(ValueError, match="must have `.tar` files"):
        TarShards(tmp_path)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match="Shards must contain images"):
        TarShards(tmp_path / "empty.tar")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "`image_size` must be a positive"),
        (
            {"batch_size": 5},
            "lower `batch_size`.*`samples_per_image`.*4 images, batch_size=5",
        ),
        ({"scale": (0.5, 2)}, "`scale` must be.*<= 1.*Received"),
        ({"aspect_ratio": 3}, "`aspect_ratio` must be two numbers"),
        ({"aspect_ratio": "12"}, "`aspect_ratio` must be two numbers"),
        ({"aspect_ratio": (True, 2)}, "`aspect_ratio` must be two numbers"),
        ({"share": (2, 2)}, "`share` must be"),
        ({"normalization": "minmax"}, '`normalization` must.*or "imagenet"'),
        ({"normalization": None}, "`normalization` must be a function"),
        ({"max_skipped": -0.1}, "`max_skipped` must be in"),
        ({"max_skipped": "3"}, "`max_skipped` must be in"),
        ({"max_skipped": float("nan")}, "`max_skipped` must be in"),
        ({"white_level": True}, "`white_level` must be an integer in"),
        ({"white_level": 0}, "`white_level` must be an integer in"),
        ({"white_level": 65536}, "`white_level` must be an integer in"),
        ({"white_level": 4095.0}, "`white_level` must be an integer in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dataset([photo(1)] * 4, **arguments)


@pytest.mark.parametrize("workers", [1, 3])
def test_trains_and_goes_on_bit_for_bit(tmp_path, workers):
    images = np.stack([photo(index) for index in range(12)])
    images = images + np.arange(50, dtype="uint8")[:, None]

    def train(folder, epochs):
        keras.utils.set_random_seed(0)
        dataset = make_dataset(
            images, normalization="imagenet", workers=workers
        )
        model = make_denoising()
        checkpoint = keras_capi.callbacks.Checkpoint(folder, dataset, every=1)
        model.fit(dataset, epochs=epochs, callbacks=checkpoint, verbose=0)
        return weights_of(model)

    whole = train(tmp_path / "whole", 2)
    train(tmp_path / "parts", 1)
    for weight, expected in zip(
        train(tmp_path / "parts", 2), whole, strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
