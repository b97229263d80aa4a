"""torch's loaders of arrays and dictionaries, which Keras takes apart."""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_indices
from helpers import make_mae

from keras_capi import backend

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")

IMAGES = make_images(6)


class Stream(torch.utils.data.IterableDataset):
    """Samples without a number."""

    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


def make_model():
    model = make_mae()
    model.compile("sgd", run_eagerly=keras.backend.backend() == "tensorflow")
    return model


def make_samples(kind):
    indices = make_indices(len(IMAGES))
    return [
        {
            "images": image,
            "dictionary": {"images": image},
            "masks": {
                "images": image,
                **{name: rows[i] for name, rows in indices.items()},
            },
            "tuple": (image,),
            "labels": (image, i),
        }[kind]
        for i, image in enumerate(IMAGES)
    ]


@pytest.mark.parametrize(
    "kind", ["images", "dictionary", "masks", "tuple", "labels"]
)
def test_loaders_of_all_kinds(kind):
    loader = torch.utils.data.DataLoader(make_samples(kind), batch_size=3)
    model = make_model()
    history = model.fit(
        loader, validation_data=loader, epochs=2, verbose=0
    ).history
    assert len(history["val_loss"]) == 2
    assert np.all(np.isfinite(model.evaluate(loader, verbose=0)))
    # Alone, not in a batch of three tensors: images, labels and weights.
    features = model.predict(loader, verbose=0)["global"]
    np.testing.assert_allclose(
        features, model.predict(IMAGES, verbose=0)["global"], atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_loader_of_unknown_length():
    loader = torch.utils.data.DataLoader(Stream(list(IMAGES)), batch_size=4)
    model = make_model()
    assert model.predict(loader, verbose=0)["global"].shape[0] == 6
    model.fit(loader, steps_per_epoch=2, verbose=0)


def test_samples_without_a_first_one():
    names = ["a", "b", "c"]
    samples = dict(zip(names, IMAGES, strict=False))
    loader = torch.utils.data.DataLoader(samples, sampler=names, batch_size=3)
    history = make_model().fit(loader, verbose=0).history
    assert np.isfinite(history["loss"])


def test_a_loader_shuffles_as_before():
    """Neither order nor random state depend on what Keras needs."""
    orders = []

    def record(samples):
        orders[-1].extend(number for _, number in samples)
        return torch.from_numpy(np.stack([image for image, _ in samples]))

    samples = [(image, number) for number, image in enumerate(IMAGES)]
    loader = torch.utils.data.DataLoader(
        samples, batch_size=2, shuffle=True, collate_fn=record
    )
    wrapped = backend.tupled_batches(loader)
    for batches in (loader, wrapped):
        torch.manual_seed(0)
        orders.append([])
        for _ in range(2):
            assert len(list(batches)) == len(batches) == 3
    assert orders[0] == orders[1] != sorted(orders[0])


def test_other_data_stay_as_they_are():
    for x in (None, IMAGES, {"images": IMAGES}, (IMAGES, None)):
        assert backend.tupled_batches(x) is x
