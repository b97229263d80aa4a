"""Data sets that worker processes make the batches of."""

import copy
import multiprocessing
import pickle

import keras
import numpy as np
import pytest
from helpers import make_denoising
from image_helpers import encode
from image_helpers import make_dataset
from image_helpers import photo
from PIL import Image

import keras_capi

pytestmark = pytest.mark.usefixtures("untraced")


def broken_images():
    images = [encode(Image.fromarray(photo(index))) for index in range(12)]
    images[3] = b"broken"
    return images


def test_copies_and_pickles():
    dataset = make_dataset(broken_images())
    copies = [copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))]
    expected = dataset[1][0]
    for other in copies:
        np.testing.assert_array_equal(other[1][0], expected)
    crops = keras_capi.data.RandomCrops([photo(1)], 16, 4, 2)
    other = pickle.loads(pickle.dumps(crops))
    np.testing.assert_array_equal(other[1][0], crops[1][0])


# Of JAX, and of Python from 3.12 on.
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_counts_of_worker_processes_arrive(monkeypatch):
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "Pool", fork.Pool)
    results = []
    for use_multiprocessing in (False, True):
        keras.utils.set_random_seed(0)
        dataset = make_dataset(
            broken_images(),
            normalization="imagenet",
            workers=2,
            use_multiprocessing=use_multiprocessing,
        )
        with pytest.warns(UserWarning, match="Skipped 1 of 12 images.*: 3"):
            history = make_denoising().fit(dataset, epochs=2, verbose=0)
        results.append((dict(dataset.counts), dataset.skipped, history.history))
    assert results[0] == results[1]
    # On TensorFlow Keras asks for some batches once more.
    assert results[0][0]["unreadable"] >= 2


def test_counts_of_a_pickled_batch(monkeypatch):
    """Spawned processes take the data set and bring batches as pickles."""
    dataset = make_dataset(broken_images(), batch_size=12)
    spawned = pickle.loads(pickle.dumps(dataset))
    process = multiprocessing.current_process()
    monkeypatch.setattr(process, "name", "Keras_worker_SpawnPoolWorker-1")
    batch = pickle.loads(pickle.dumps(spawned[0]))
    assert type(batch) is tuple
    assert dataset.counts == spawned.counts
    assert dataset.skipped == spawned.skipped
    assert list(dataset.skipped) == ["3"]
