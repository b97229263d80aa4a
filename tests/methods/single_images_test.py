"""Batches of one image, of which some losses cannot learn anything."""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit

import keras_capi

pytestmark = pytest.mark.usefixtures("untraced")


def make_simclr():
    head = keras_capi.layers.SimCLRHead(6, 2)
    return keras_capi.methods.SimCLR(make_vit(), head=head)


def make_swav(**arguments):
    return keras_capi.methods.SwAV(
        make_vit(),
        num_prototypes=8,
        head=keras_capi.layers.SwAVHead(12, 6),
        **arguments,
    )


def compiled(model):
    model.compile("sgd")
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, batch_size):
        super().__init__()
        self.size = batch_size

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return make_images(self.size)


@pytest.mark.parametrize("make", [make_simclr, make_swav])
def test_methods_that_compare_images_refuse_single_ones(make):
    model, images = compiled(make()), make_images()
    views = {"global_views": make_images(2).reshape(1, 2, 16, 16, 3)}
    many = {"x": images, "validation_data": images}
    for call in (
        lambda: model.fit(images, batch_size=1),
        lambda: model.fit(images[:1]),
        lambda: model.fit(views),
        lambda: model.fit(Batches(1)),
        lambda: model.fit(images, validation_data=images[:1]),
        lambda: model.fit(images, validation_split=0.25),
        lambda: model.fit(**many, validation_batch_size=1),
        lambda: model.evaluate(images, batch_size=1),
        lambda: model.train_on_batch(images[:1]),
        lambda: model.test_on_batch(images[:1]),
    ):
        with pytest.raises(ValueError, match="must have 2 images or more"):
            call()
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("kind", ["tensorflow", "torch"])
def test_single_images_of_other_data_sets(kind):
    images = make_images()
    if kind == "torch":
        torch = pytest.importorskip("torch")
        dataset = torch.utils.data.DataLoader(images)
    else:
        tf = pytest.importorskip("tensorflow")
        # Its specification leaves the size of batches open.
        dataset = tf.data.Dataset.from_tensor_slices(images).batch(1)
    with pytest.raises(ValueError, match="must have 2 images or more"):
        compiled(make_simclr()).fit(dataset)


def test_the_last_batch_may_be_a_single_image():
    model, images = compiled(make_simclr()), make_images(3)
    history = model.fit(images, batch_size=2, validation_data=images, verbose=0)
    assert np.isfinite(history.history["val_loss"][0])
    assert history.history["loss"][0] > 0


def test_a_queue_holds_other_images():
    model = compiled(make_swav(queue_size=2))
    history = model.fit(make_images(), batch_size=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
