"""Data sets that say which image is which, and take those that are asked."""

import numpy as np
import pytest

from keras_capi.data import AugmentedImages
from keras_capi.data import RandomCrops
from keras_capi.data import ViewBatches
from keras_capi.layers import MultiCrop

# Each image has its number as its only colour.
IMAGES = [np.full((10, 12, 3), 10 * n, "uint8") for n in range(6)]


def make(kind, images=IMAGES):
    if kind == "crops":
        return RandomCrops(images, 8, 4, 3, seed=0)
    return AugmentedImages(
        images, 8, 4, normalization=np.float32, samples_per_image=2
    )


@pytest.mark.parametrize("kind", ["crops", "augmented"])
def test_numbers_are_those_of_the_images(kind):
    dataset = make(kind)
    plain = [dataset[index][0] for index in range(3)]
    dataset.is_numbered = True
    assert (dataset.num_images, dataset.num_samples) == (6, 12)
    for index, images in enumerate(plain):
        (batch,) = dataset[index]
        # The same images as without numbers.
        np.testing.assert_array_equal(batch["images"], images)
        np.testing.assert_array_equal(batch["indices"], images[:, 0, 0, 0] / 10)
    dataset.drawn_images = np.array([5, 5, 2, 0, 1, 1, 3, 5, 2, 2, 2, 2])
    for index in (2, 1):
        (batch,) = dataset[index]
        expected = dataset.drawn_images[4 * index : 4 * index + 4]
        np.testing.assert_array_equal(batch["indices"], expected)
        np.testing.assert_array_equal(
            batch["images"][:, 0, 0, 0], 10 * expected
        )


@pytest.mark.parametrize("kind", ["crops", "augmented"])
def test_whole_images_are_the_middle(kind):
    ramp = np.arange(12)[:, None] + np.zeros((10, 12, 3))
    dataset = make(kind, [*IMAGES, ramp.astype("uint8")])
    dataset.is_numbered = True
    batch = dataset.load_whole(np.array([6, 4]))
    np.testing.assert_array_equal(batch["indices"], [6, 4])
    assert batch["images"].shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(batch["images"][1], np.full((8, 8, 3), 40))
    row = batch["images"][0, 0, :, 0].astype("float32")
    # Not mirrored.
    assert (np.diff(row) > 0).all()
    assert row.mean() == pytest.approx(5.5, abs=0.1)


def test_an_unreadable_image_gives_its_place_to_another_one(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for number in range(8):
        pixels = np.full((8, 8, 3), 10 * number, "uint8")
        image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    dataset = AugmentedImages(tmp_path, 8, 8, normalization=np.float32)
    dataset.is_numbered = True
    (batch,) = dataset[0]
    assert 3 not in batch["indices"]
    colours = batch["images"][:, 0, 0, 0]
    np.testing.assert_array_equal(batch["indices"], colours / 10)
    whole = dataset.load_whole(np.arange(8))
    np.testing.assert_array_equal(whole["indices"], [0, 1, 2, 4, 5, 6, 7])


def test_views_have_the_numbers_of_their_images():
    views = MultiCrop(8, num_local_views=0)
    batches = ViewBatches(make("augmented"), views)
    assert (batches.num_images, batches.is_numbered) == (6, False)
    (plain,) = batches[1]
    batches.is_numbered = True
    (batch,) = batches[1]
    np.testing.assert_array_equal(batch["global_views"], plain["global_views"])
    np.testing.assert_array_equal(
        batch["indices"], batches.dataset[1][0]["indices"]
    )
