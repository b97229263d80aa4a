import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.layers import FeatureQueue


def test_remembers_the_newest_images():
    batches = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    batches = batches.astype("float32")
    queue = FeatureQueue(6)
    queue(batches[0])
    np.testing.assert_array_equal(to_numpy(queue.is_filled), [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(to_numpy(queue.features)[:4], batches[0])
    queue(batches[1])
    queue(batches[2])
    assert to_numpy(queue.is_filled).all()
    np.testing.assert_array_equal(
        to_numpy(queue.features), np.concatenate(batches[[2, 1]])[:6]
    )


def test_batch_larger_than_the_queue():
    batch = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")
    queue = FeatureQueue(3)
    queue(batch)
    np.testing.assert_array_equal(to_numpy(queue.features), batch[:3])
    assert to_numpy(queue.is_filled).all()


def test_config():
    queue = FeatureQueue(3, name="queue")
    assert FeatureQueue.from_config(queue.get_config()).size == 3


def test_errors():
    with pytest.raises(ValueError, match="`size` must be a positive.*size=0"):
        FeatureQueue(0)
    with pytest.raises(ValueError, match=r"image_shape.*\(None, None, 8\)"):
        FeatureQueue(2).build((None, None, 8))
