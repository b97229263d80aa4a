import concurrent.futures

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.data import AugmentedImages
from keras_capi.data import RandomCrops
from keras_capi.data import ViewBatches
from keras_capi.layers import ColorAugmentation
from keras_capi.layers import MultiCrop
from keras_capi.layers import RandomResizedCrop

PICTURES = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), "uint8")


def make_batches(seed=0, views=None, **overrides):
    arguments = {"image_size": 16, "batch_size": 4, "seed": 1, **overrides}
    if views is None:
        views = MultiCrop((16, 12), (8, 4), num_local_views=3)
    return ViewBatches(AugmentedImages(PICTURES, **arguments), views, seed)


@pytest.fixture(scope="module")
def batches():
    """One for all tests of `MultiCrop`, as each data set compiles its views."""
    return make_batches()


def test_views_are_those_of_the_images(batches):
    assert len(batches) == 2
    assert batches.batch_size == 4
    (views,) = batches[1]
    assert views["global_views"].shape == (4, 2, 16, 12, 3)
    assert views["local_views"].shape == (4, 3, 8, 4, 3)
    assert all(isinstance(x, np.ndarray) for x in views.values())
    # Without crops, jitter and blur, images are as they were.
    nothing = ColorAugmentation(jitter_rate=0, gray_rate=0, blur_rate=0)
    (views,) = make_batches(views=nothing)[1]
    (images,) = batches.dataset[1]
    np.testing.assert_allclose(views, images, atol=1e-5)


def test_a_batch_follows_from_seed_epoch_and_number():
    batches, again = (
        make_batches(views=RandomResizedCrop(8, 8)) for _ in range(2)
    )
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        in_threads = [*executor.map(lambda index: again[index], (1, 0))]
    np.testing.assert_array_equal(in_threads[1][0], batches[0][0])
    np.testing.assert_array_equal(in_threads[0][0], batches[1][0])
    batches.on_epoch_begin()
    batches.on_epoch_end()
    again.go_to(1, 1)
    assert len(again) == 1
    np.testing.assert_array_equal(again[0][0], batches[1][0])


def test_seeds_shares_epochs_and_batches_have_other_views():
    crop = RandomResizedCrop(4, 4)
    # All images are the same.
    image = make_images(1, 64, 64)[0]
    crops = RandomCrops([image], 64, 4, num_batches=2, seed=0)
    other_share = RandomCrops([image], 64, 4, num_batches=2, seed=0)
    other_share.share = (1, 2)
    batches = [
        ViewBatches(crops, crop).make_batch(0, 0),
        ViewBatches(crops, crop).make_batch(0, 1),
        ViewBatches(crops, crop).make_batch(1, 0),
        ViewBatches(crops, crop, seed=1).make_batch(0, 0),
        ViewBatches(other_share, crop).make_batch(0, 0),
    ]
    views = np.concatenate([batch for (batch,) in batches])
    assert len(np.unique(views.round(4), axis=0)) == 20


def test_feeds_a_model(batches):
    inputs = {
        "global_views": keras.Input((2, 16, 12, 3), name="global_views"),
        "local_views": keras.Input((3, 8, 4, 3), name="local_views"),
    }
    means = [
        keras.ops.mean(view, axis=(1, 2, 3, 4))[:, None]
        for view in inputs.values()
    ]
    model = keras.Model(inputs, keras.ops.concatenate(means, axis=-1))
    outputs = model.predict(batches, verbose=0)
    batches.go_to(0, 0)
    expected = [
        np.stack(
            [view.mean(axis=(1, 2, 3, 4)) for view in batch[0].values()], 1
        )
        for batch in (batches[index] for index in range(2))
    ]
    np.testing.assert_allclose(outputs, np.concatenate(expected), atol=1e-5)


def test_views_are_compiled_once():
    class Counting(RandomResizedCrop):
        calls = 0

        def call(self, *args, **kwargs):
            self.calls += 1
            return super().call(*args, **kwargs)

    crop = Counting(4, 4)
    batches = make_batches(views=crop)
    for index in (0, 1, 1):
        batches[index]
    # On torch nothing is compiled.
    assert crop.calls == (3 if keras.backend.backend() == "torch" else 1)


def test_settings_tell_what_determines_the_batches():
    settings = make_batches().settings
    assert settings["epoch_length"] == 2
    assert settings["num_images"] == 9
    assert settings["views"]["config"]["num_local_views"] == 3
    others = (
        make_batches(seed=2),
        make_batches(batch_size=3),
        make_batches(views=RandomResizedCrop(4, 4)),
    )
    assert all(other.settings != settings for other in others)


def test_half_precision_views_become_arrays():
    crop = RandomResizedCrop(4, 4, dtype="mixed_bfloat16")
    (views,) = make_batches(views=crop)[0]
    assert views.dtype == np.float32
    exact = RandomResizedCrop(4, 4, dtype="float32")
    (expected,) = make_batches(views=exact)[0]
    np.testing.assert_allclose(views, to_numpy(expected), atol=0.02)


def test_bad_arguments():
    batches = make_batches()
    with pytest.raises(ValueError, match="`dataset` must be a data set"):
        ViewBatches(PICTURES, batches.views)
    with pytest.raises(ValueError, match="`views` must be a layer"):
        ViewBatches(batches.dataset, keras.layers.RandomFlip())
    # Crops of raw pixels would be white after the clipping.
    crops = RandomCrops(list(PICTURES), 16, 4, num_batches=2, seed=0)
    with pytest.raises(ValueError, match="`images` must be floating point"):
        ViewBatches(crops, MultiCrop(8, 4))[0]
