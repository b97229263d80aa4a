import numpy as np
import pytest
from helpers import make_denoising

import keras_capi
from keras_capi.data import RandomCrops

pytestmark = pytest.mark.usefixtures("untraced")


def make_images():
    """Images of different sizes in which each pixel tells where it is."""
    images = []
    for index, (height, width) in enumerate([(16, 24), (20, 16), (30, 40)]):
        rows, columns = np.indices((height, width))
        image = [rows, columns, np.full_like(rows, index)]
        images.append(np.stack(image, axis=-1).astype("uint8"))
    return images


def make_crops(**overrides):
    arguments = {
        "crop_size": 16,
        "batch_size": 40,
        "num_batches": 3,
        "seed": 0,
        **overrides,
    }
    return RandomCrops(make_images(), **arguments)


def test_crops_are_windows_of_the_images():
    images = make_images()
    crops = make_crops()
    assert len(crops) == 3
    (batch,) = crops[0]
    assert batch.shape == (40, 16, 16, 3)
    assert batch.dtype == np.uint8
    for crop in batch:
        top, left, index = crop[0, 0]
        window = images[index][top : top + 16, left : left + 16]
        np.testing.assert_array_equal(crop, window)
    assert set(batch[:, 0, 0, 2]) == {0, 1, 2}


def test_all_windows_are_reached():
    (batch,) = make_crops(batch_size=500)[0]
    corners = batch[batch[:, 0, 0, 2] == 0][:, 0, 0]
    assert set(corners[:, 0]) == {0}
    assert set(corners[:, 1]) == set(range(9))


def test_seed_batches_and_epochs():
    crops = make_crops()
    first = crops[0][0]
    np.testing.assert_array_equal(first, make_crops()[0][0])
    assert np.any(first != make_crops(seed=1)[0][0])
    assert np.any(first != crops[1][0])
    crops.on_epoch_end()  # Keras does so before the first epoch, too.
    np.testing.assert_array_equal(first, crops[0][0])
    crops.on_epoch_begin()
    crops.on_epoch_end()
    assert np.any(first != crops[0][0])
    unseeded = make_crops(seed=None)
    assert np.any(unseeded[0][0] != make_crops(seed=None)[0][0])
    np.testing.assert_array_equal(unseeded[0][0], unseeded[0][0])


def test_iterates_over_an_epoch():
    assert len(list(make_crops())) == 3


def test_augments_and_trains():
    def augment(crops):
        calls.append(crops.shape)
        return crops.astype("float32") / 255

    calls = []
    crops = make_crops(batch_size=4, augment=augment)
    history = make_denoising().fit(crops, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert len(calls) >= 6
    assert set(calls) == {(4, 16, 16, 3)}


def test_augment_must_be_a_function():
    with pytest.raises(ValueError, match="`augment` must be a function"):
        make_crops(augment="flip")


@pytest.mark.parametrize("name", ["crop_size", "batch_size", "num_batches"])
def test_bad_numbers(name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make_crops(**{name: 0})


def test_images_must_hold_a_crop():
    with pytest.raises(ValueError, match=r"images\[0\].shape=\(16, 24, 3\)"):
        make_crops(crop_size=17)
    with pytest.raises(ValueError, match="`images` must not be empty"):
        RandomCrops([], 16, 4, 2)
    with pytest.raises(ValueError, match=r"load_images.*images\[0\].*str"):
        RandomCrops("photos", 16, 4, 2)
    images = [*make_images(), make_images()[0][..., :1]]
    with pytest.raises(ValueError, match=r"3, and 1 of images\[3\]"):
        RandomCrops(images, 16, 4, 2)
    images[3] = (make_images()[0] / 255.0).astype("float32")
    with pytest.raises(ValueError, match=r"uint8, and float32 of images\[3\]"):
        RandomCrops(images, 16, 4, 2)


def test_goes_to_batches_that_there_are():
    crops = make_crops()
    crops.go_to(5, 2)
    assert len(crops) == 1
    for batch in (3, 4, -1):
        with pytest.raises(ValueError, match=f"3 batches.*batch={batch}"):
            crops.go_to(0, batch)
    assert crops.position == (5, 2)


def test_goes_on_without_a_seed_but_says_so():
    crops = make_crops(seed=None)
    expected = crops[1][0]
    with pytest.warns(UserWarning, match="`RandomCrops` without a `seed`"):
        crops.go_to(1, 2)
    # With the same object it is exact, and with a seed.
    crops.on_epoch_begin()
    crops.go_to(0, 1)
    np.testing.assert_array_equal(crops[0][0], expected)
    make_crops().go_to(1, 2)


def as_floats(crops):
    return (crops / 255).astype("float32")


def test_a_restart_without_a_seed_is_not_silent(tmp_path):
    def train(epochs):
        crops = make_crops(seed=None, batch_size=4, augment=as_floats)
        callback = keras_capi.callbacks.Checkpoint(tmp_path, crops)
        make_denoising().fit(
            crops, epochs=epochs, callbacks=callback, verbose=0
        )

    train(1)
    with pytest.warns(UserWarning, match="`RandomCrops` without a `seed`"):
        train(2)
